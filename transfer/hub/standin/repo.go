package standin

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"hffs/cache/ref"
)

type repo struct {
	name    ref.Repo
	commits map[ref.Commit]*commit
	refs    map[string]ref.Commit // by full name: refs/heads/main
	private bool
	gated   string // "auto", "manual", or empty
	closed  bool
}

type commit struct {
	id     ref.Commit
	parent *commit
	title  string
	date   time.Time
	files  map[string]Content
	trees  map[string]string // git ids of the folders; "" is the root
}

// object is what a path on the CDN stands for.
type object struct {
	repo    ref.Repo
	path    string
	content Content
}

// epoch dates the first commit of every repo; each further one is a minute
// later, so that ids are the same in every run.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Add makes a commit that holds exactly these files and moves the revision to
// it: a branch by its bare name (empty means main), or refs/pr/1 and the like.
// The repo is made as needed, earlier commits stay reachable by their ids, and
// the same history gives the same ids in every run.
func (h *Hub) Add(name ref.Repo, revision string, files map[string]Content) ref.Commit {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.repos[name]
	if r == nil {
		r = &repo{name: name, commits: map[ref.Commit]*commit{}, refs: map[string]ref.Commit{}}
		h.repos[name] = r
		delete(h.aliases, name)
	}
	c := r.commit(fullRef(revision), files)
	h.publish(name, c)
	return c.id
}

func (r *repo) commit(full string, files map[string]Content) *commit {
	c := &commit{
		parent: r.commits[r.refs[full]],
		title:  fmt.Sprintf("Upload %d files", len(files)),
		date:   epoch.Add(time.Duration(len(r.commits)) * time.Minute),
		files:  map[string]Content{},
	}
	for p, content := range files {
		c.files[p] = content.decided(p)
	}
	c.trees = gitTrees(c.files)
	c.id = ref.Commit(gitID("commit", c.text(r.name)))
	r.commits[c.id] = c
	r.refs[full] = c.id
	return c
}

// text is the commit as git writes it. Its title names the repo, so that equal
// files in two repos do not give equal commits.
func (c *commit) text(name ref.Repo) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", c.trees[""])
	if c.parent != nil {
		fmt.Fprintf(&b, "parent %s\n", c.parent.id)
	}
	for _, role := range []string{"author", "committer"} {
		fmt.Fprintf(&b, "%s stand-in <stand-in@hffs.invalid> %d +0000\n", role, c.date.Unix())
	}
	fmt.Fprintf(&b, "\n%s to %s\n", c.title, name)
	return []byte(b.String())
}

// lastChange is the commit, this one or before it, that gave the file its
// present content.
func (c *commit) lastChange(p string) *commit {
	for c.parent != nil && c.parent.files[p].sha256 == c.files[p].sha256 {
		c = c.parent
	}
	return c
}

// gitTrees computes the git id of every folder, the root included.
func gitTrees(files map[string]Content) map[string]string {
	entries := map[string]map[string]string{"": {}} // folder -> sort key -> line
	var folders []string
	for p, c := range files {
		dir := parent(p)
		for d := dir; ; d = parent(d) {
			if entries[d] == nil {
				entries[d] = map[string]string{}
			}
			if d == "" {
				break
			}
		}
		entries[dir][path.Base(p)] = treeLine("100644", path.Base(p), c.oid())
	}
	for d := range entries {
		folders = append(folders, d)
	}
	// Longest first: a folder's id is needed before its parent's.
	slices.SortFunc(folders, func(a, b string) int { return len(b) - len(a) })
	ids := map[string]string{}
	for _, d := range folders {
		var text strings.Builder
		for _, key := range slices.Sorted(maps.Keys(entries[d])) {
			text.WriteString(entries[d][key])
		}
		ids[d] = gitID("tree", []byte(text.String()))
		if d != "" {
			// git sorts folders as if their names ended in "/".
			entries[parent(d)][path.Base(d)+"/"] = treeLine("40000", path.Base(d), ids[d])
		}
	}
	return ids
}

func treeLine(mode, name, id string) string {
	raw, err := hex.DecodeString(id)
	if err != nil {
		panic(err) // ids are our own
	}
	return mode + " " + name + "\x00" + string(raw)
}

// parent is the folder that a path lies in; "" is the root.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// Tag gives a commit of the repo a tag.
func (h *Hub) Tag(name ref.Repo, tag string, at ref.Commit) {
	h.change(name, func(r *repo) { r.refs["refs/tags/"+tag] = at })
}

// Gate puts the repo behind its owner's grant, "auto" or "manual"; empty opens
// it again. What the API tells stays public, as on the Hub.
func (h *Hub) Gate(name ref.Repo, mode string) { h.change(name, func(r *repo) { r.gated = mode }) }

// Private hides the repo from all but the tokens made for it.
func (h *Hub) Private(name ref.Repo) { h.change(name, func(r *repo) { r.private = true }) }

// Disable closes the repo for all.
func (h *Hub) Disable(name ref.Repo) { h.change(name, func(r *repo) { r.closed = true }) }

// Rename moves the repo; the old name redirects from then on.
func (h *Hub) Rename(from, to ref.Repo) {
	h.change(from, func(r *repo) {
		r.name = to
		h.repos[to] = r
		delete(h.repos, from)
		delete(h.aliases, to)
		h.aliases[from] = to
		for _, granted := range h.tokens {
			granted[to] = granted[from]
		}
		for _, c := range r.commits {
			h.publish(to, c)
		}
	})
}

// publish puts a commit's files on the CDN. Needs h.mu.
func (h *Hub) publish(name ref.Repo, c *commit) {
	for p, content := range c.files {
		h.objects[objectPath(name, p, content)] = object{name, p, content}
	}
}

// Token makes a token known that may read the given gated and private repos.
func (h *Hub) Token(token string, allowed ...ref.Repo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens[token] = map[ref.Repo]bool{}
	for _, name := range allowed {
		h.tokens[token][name] = true
	}
}

// Writer makes a token known that may create repos and commit to any.
func (h *Hub) Writer(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writers[token] = true
	if h.tokens[token] == nil {
		h.tokens[token] = map[ref.Repo]bool{}
	}
}

// change panics for a repo that was never added: that is a mistake in the test.
func (h *Hub) change(name ref.Repo, f func(*repo)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.repos[name]
	if r == nil {
		panic("standin: no repo " + name.String())
	}
	f(r)
}

// fullRef is a revision's full name in git; branches go by their bare names.
func fullRef(revision string) string {
	switch {
	case revision == "":
		return "refs/heads/main"
	case strings.HasPrefix(revision, "refs/"):
		return revision
	}
	return "refs/heads/" + revision
}

// find looks a revision up as the Hub does: branch, tag, full ref, commit, and
// the beginning of a commit's id.
func (r *repo) find(revision string) *commit {
	for _, full := range []string{"refs/heads/" + revision, "refs/tags/" + revision, revision} {
		if id, ok := r.refs[full]; ok {
			return r.commits[id]
		}
	}
	if len(revision) < 7 {
		return nil
	}
	for id, c := range r.commits {
		if strings.HasPrefix(string(id), strings.ToLower(revision)) {
			return c
		}
	}
	return nil
}

// objectPath is where the CDN has a file. The first part stands for repo and
// path, so that the log can name the file; the second is what the CDN shows as
// ETag: the Xet hash, or something as unlike the sha256.
func objectPath(name ref.Repo, p string, c Content) string {
	return "/xet-bridge-us/" + objectID(name.String()+"/"+p) + "/" + cdnHash(c)
}

// objectID is 24 hex digits, as the Hub's database makes them.
func objectID(s string) string {
	sum := sha1.Sum([]byte(s))
	return hex.EncodeToString(sum[:12])
}
