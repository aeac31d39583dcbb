// Package ref holds the names that the rest of hffs passes around: small
// comparable values that parse, print, and refuse nonsense.
//
// Read it in this order: [Repo] and [File] are what a person asks for, [Blob]
// is the bytes behind a file as the Hub states them, and [Entry] ties the two
// together at one commit. Every name that comes from outside (a command line, a
// peer, a folder on disk) passes through one of the Parse or New functions
// here before anything is done with it, so that no other room has to think
// about "..", control characters or over-long names.
//
// The rules are those of the Hub and its clients: huggingface_hub's
// utils/_validators.py for repo ids and _local_folder.py for file names.
package ref

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits on names, in bytes. Repo names are bounded by the Hub; the others are
// the limits of common file systems, since each name becomes a path.
const (
	MaxNameLen     = 96   // each part of a repo id
	MaxRevisionLen = 255  // a branch, tag or refs/… name
	MaxPathLen     = 1024 // a file's path inside its repo
	maxPartLen     = 255  // one element of such a path
)

// An Error says which name is refused and why. It is a mistake in the input,
// never a passing fault: asking again gives the same answer.
type Error struct {
	What  string // "repo", "revision", "file", …
	Value string
	Why   string
}

func (e *Error) Error() string {
	v := e.Value
	if len(v) > 80 {
		v = v[:80] + "…"
	}
	return fmt.Sprintf("bad %s %q: %s", e.What, v, e.Why)
}

// Type is the kind of a repo on the Hub.
type Type string

// The repo types that hffs shares.
const (
	Model   Type = "model"
	Dataset Type = "dataset"
	Space   Type = "space"
)

// ParseType reads "model", "dataset" or "space"; empty means model.
func ParseType(s string) (Type, error) {
	switch Type(s) {
	case "", Model:
		return Model, nil
	case Dataset, Space:
		return Type(s), nil
	}
	return "", &Error{"repo type", s, "it is none of model, dataset, space"}
}

// Plural is the type as the Hub's API and the cache's folder names write it.
func (t Type) Plural() string { return string(t) + "s" }

// Prefix is what stands before the repo id in a resolve URL: nothing for
// models, "datasets/" or "spaces/" for the others.
func (t Type) Prefix() string {
	if t == Model {
		return ""
	}
	return t.Plural() + "/"
}

// Repo names a repository: its type and its id ("org/name", or "name" alone for
// the Hub's oldest models).
type Repo struct {
	Type Type
	ID   string
}

var namePart = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// ParseRepo checks a repo id by the Hub's own rules.
func ParseRepo(t Type, id string) (Repo, error) {
	bad := func(why string) (Repo, error) { return Repo{}, &Error{"repo", id, why} }
	if id == "" {
		return bad("it is empty; a repo is written org/name")
	}
	parts := strings.Split(id, "/")
	if len(parts) > 2 {
		return bad("more than one \"/\"; a repo is written org/name")
	}
	for _, p := range parts {
		switch {
		case p == "":
			return bad("a part of it is empty; a repo is written org/name")
		case len(p) > MaxNameLen:
			return bad(fmt.Sprintf("a part of it is longer than %d characters", MaxNameLen))
		case !namePart.MatchString(p):
			return bad("only letters, digits, \"-\", \"_\" and \".\" are allowed")
		case strings.Contains(p, "--") || strings.Contains(p, ".."):
			return bad("\"--\" and \"..\" are not allowed")
		case strings.HasPrefix(p, ".") || strings.HasPrefix(p, "-") || strings.HasSuffix(p, ".") || strings.HasSuffix(p, "-"):
			return bad("it may not begin or end with \".\" or \"-\"")
		}
	}
	if strings.HasSuffix(id, ".git") {
		return bad("it may not end in \".git\"")
	}
	return Repo{Type: t, ID: id}, nil
}

// Folder is the repo's folder name in the cache, such as "models--org--name".
func (r Repo) Folder() string {
	return r.Type.Plural() + "--" + strings.ReplaceAll(r.ID, "/", "--")
}

// ParseFolder is the reverse of [Repo.Folder].
func ParseFolder(name string) (Repo, error) {
	kind, id, ok := strings.Cut(name, "--")
	if !ok {
		return Repo{}, &Error{"cache folder", name, "it does not look like models--org--name"}
	}
	t, err := ParseType(strings.TrimSuffix(kind, "s"))
	if err != nil || t.Plural() != kind {
		return Repo{}, &Error{"cache folder", name, "it does not begin with models, datasets or spaces"}
	}
	return ParseRepo(t, strings.Replace(id, "--", "/", 1))
}

// String prints the repo as its address on the Hub, without the host.
func (r Repo) String() string { return r.Type.Prefix() + r.ID }

// Commit is a full commit id: 40 lower-case hex digits.
type Commit string

// ParseCommit accepts exactly 40 hex digits of either case.
func ParseCommit(s string) (Commit, error) {
	if len(s) != 40 || !isHex(s) {
		return "", &Error{"commit", s, "it is not 40 hex digits"}
	}
	return Commit(strings.ToLower(s)), nil
}

// IsCommit tells a full commit id from a branch, tag or short commit.
func IsCommit(revision string) bool {
	_, err := ParseCommit(revision)
	return err == nil
}

// CheckRevision refuses names that cannot be a revision or that could escape
// the cache's refs folder. The rules are git's own (git-check-ref-format).
func CheckRevision(rev string) error {
	bad := func(why string) error { return &Error{"revision", rev, why} }
	switch {
	case rev == "":
		return bad("it is empty")
	case len(rev) > MaxRevisionLen:
		return bad(fmt.Sprintf("it is longer than %d bytes", MaxRevisionLen))
	case strings.ContainsAny(rev, " ~^:?*[\\"):
		return bad("it has a character that git does not allow in a revision")
	case strings.Contains(rev, "..") || strings.Contains(rev, "//") || strings.Contains(rev, "@{"):
		return bad("\"..\", \"//\" and \"@{\" are not allowed")
	case strings.HasPrefix(rev, "/") || strings.HasSuffix(rev, "/") || strings.HasSuffix(rev, "."):
		return bad("it may not begin or end with \"/\" or end with \".\"")
	}
	for p := range strings.SplitSeq(rev, "/") {
		if strings.HasPrefix(p, ".") || strings.HasPrefix(p, "-") || strings.HasSuffix(p, ".lock") {
			return bad("no part of it may begin with \".\" or \"-\" or end with \".lock\"")
		}
	}
	return checkText(rev, bad)
}

// CheckPath refuses file names that could lead outside a snapshot's folder, on
// POSIX or on Windows, and names that no Hub file has.
func CheckPath(p string) error {
	bad := func(why string) error { return &Error{"file", p, why} }
	switch {
	case p == "":
		return bad("it is empty")
	case len(p) > MaxPathLen:
		return bad(fmt.Sprintf("it is longer than %d bytes", MaxPathLen))
	case strings.HasPrefix(p, "/"):
		return bad("it is absolute; a file is named by its path inside the repo")
	case strings.Contains(p, "\\"):
		return bad("\"\\\" is not allowed; folders are separated by \"/\"")
	case len(p) >= 2 && p[1] == ':' && isLetter(p[0]):
		return bad("it begins with a drive letter")
	case path.Clean(p) != p:
		return bad("it has an empty part, \".\" or \"..\"")
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == ".." || part == ".":
			return bad("\".\" and \"..\" are not allowed")
		case len(part) > maxPartLen:
			return bad(fmt.Sprintf("a part of it is longer than %d bytes", maxPartLen))
		}
	}
	return checkText(p, bad)
}

func checkText(s string, bad func(string) error) error {
	if !utf8.ValidString(s) {
		return bad("it is not valid UTF-8")
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return bad("it has a control character")
		}
	}
	return nil
}

// File is the name that a person asks for.
type File struct {
	Repo     Repo
	Revision string // a branch, tag, refs/… name or commit
	Path     string // inside the repo, separated by "/"
}

// NewFile checks revision and path; an empty revision means main.
func NewFile(repo Repo, revision, path string) (File, error) {
	if revision == "" {
		revision = "main"
	}
	if err := CheckRevision(revision); err != nil {
		return File{}, err
	}
	if err := CheckPath(path); err != nil {
		return File{}, err
	}
	return File{Repo: repo, Revision: revision, Path: path}, nil
}

// String prints the file as repo@revision/path.
func (f File) String() string { return f.Repo.String() + "@" + f.Revision + "/" + f.Path }

// Entry is a file tied to its commit and blob, as the Hub states it.
type Entry struct {
	Repo   Repo
	Commit Commit
	Path   string
	Blob   Blob
}

// String prints the entry as repo@commit/path with a shortened commit.
func (e Entry) String() string {
	return e.Repo.String() + "@" + string(e.Commit[:min(8, len(e.Commit))]) + "/" + e.Path
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}
