package access

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hffs/cache/ref"
)

// The book as it lies on disk, as JSON:
//
//	{"version":1,
//	 "repos":{"models--org--name":{"is":"public","at":1767000000,"again":1767600000}},
//	 "grants":[{"caller":"<mark>","repo":"models--org--name","at":1767000000}]}
//
// Times are Unix seconds. Grants stand in the order they were last used.
type page struct {
	Version int               `json:"version"`
	Repos   map[string]line   `json:"repos"`
	Grants  []lineOfOneCaller `json:"grants"`
}

type line struct {
	Is    string `json:"is"`
	At    int64  `json:"at"`
	Again int64  `json:"again"`
}

type lineOfOneCaller struct {
	Caller string `json:"caller"`
	Repo   string `json:"repo"`
	At     int64  `json:"at"`
}

const (
	fileVersion = 1
	maxFile     = 16 << 20
	markLen     = 16 // bytes of a mark
)

// standings are the words for how a repo stands.
var standings = map[standing]string{withToken: "read with a token", closed: "not public", open: "public", heard: "told by neighbours"}

var errBadFile = errors.New("it is not a book of access of a known version")

// load reads the file; one that is not there is empty.
func (b *Book) load() error {
	if b.cfg.Path == "" {
		return nil
	}
	f, err := os.Open(b.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return err
	}
	return b.read(text)
}

func (b *Book) read(text []byte) error {
	var p page
	if len(text) > maxFile || json.Unmarshal(text, &p) != nil || p.Version != fileVersion {
		return errBadFile
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.cfg.Now()
	for name, l := range p.Repos {
		repo, err := ref.ParseFolder(name)
		for is, word := range standings {
			if err == nil && word == l.Is && len(b.repos) < maxRepos {
				// A clock that was wrong for a while must not keep a word for ever.
				again := min(max(l.Again, 0), now.Add(2*againAfter).Unix())
				b.repos[repo] = &fact{is: is, at: time.Unix(l.At, 0), again: time.Unix(again, 0)}
			}
		}
	}
	for _, g := range p.Grants {
		repo, err := ref.ParseFolder(g.Repo)
		at := time.Unix(g.At, 0)
		if err == nil && (g.Caller == "" || isMark(g.Caller)) && !at.After(now) {
			b.grants.Add(pair{g.Caller, repo}, at)
		}
	}
	return nil
}

func isMark(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == markLen
}

// text is the book as it is now.
func (b *Book) text() ([]byte, error) {
	p := page{Version: fileVersion, Repos: map[string]line{}, Grants: []lineOfOneCaller{}}
	b.mu.Lock()
	for repo, f := range b.repos {
		p.Repos[repo.Folder()] = line{standings[f.is], f.at.Unix(), f.again.Unix()}
	}
	for _, k := range b.grants.Keys() { // oldest first
		at, _ := b.grants.Peek(k)
		if b.cfg.Now().Sub(at) < graceFor {
			p.Grants = append(p.Grants, lineOfOneCaller{k.mark, k.repo.Folder(), at.Unix()})
		}
	}
	b.mu.Unlock()
	return json.MarshalIndent(p, "", " ")
}

// save writes the file, for this account's eyes only.
func (b *Book) save() {
	if b.cfg.Path == "" {
		return
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	text, err := b.text()
	if err == nil {
		err = replace(b.cfg.Path, text)
	}
	if err != nil {
		b.cfg.Log.Warn("who may read what was not recorded", "file", b.cfg.Path, "err", err)
	}
}

// replace gives a file new content in one step. CreateTemp makes it readable for this
// account only.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = cmp.Or(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
