package cache

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// KnownRef is a branch or tag and the commit that it stood for when the Hub was
// last asked.
type KnownRef struct {
	Repo   ref.Repo
	Name   string
	Commit ref.Commit
	Learnt time.Time // when the Hub said so
}

// learntRef is a ref as it lies in our database.
type learntRef struct {
	Commit ref.Commit `json:"commit"`
	Learnt int64      `json:"learnt"` // Unix seconds
}

// tellAgain is how old the swarm's idea of a ref's age may get before asking
// the Hub again with the same answer counts as news.
const tellAgain = 5 * time.Minute

// Ref is the commit that a revision stood for when it was last asked for: by
// the file that all tools share, else by our own memory. A ref file that
// another tool is just writing may be short; it counts as not there.
func (c *Cache) Ref(repo ref.Repo, revision string) (KnownRef, error) {
	k := KnownRef{Repo: repo, Name: revision}
	if err := ref.CheckRevision(revision); err != nil {
		return k, err
	}
	learnt, told := c.learnt(repo, revision)
	commit, written, err := readRef(c.abs(refRel(repo, revision)))
	switch {
	case err == nil:
		return c.dated(KnownRef{repo, revision, commit, written}), nil
	case told:
		k.Commit, k.Learnt = learnt.Commit, time.Unix(learnt.Learnt, 0)
		return k, nil
	}
	return k, fmt.Errorf("%s@%s: %w", repo, revision, ErrNotFound)
}

func refRel(repo ref.Repo, revision string) string {
	return repo.Folder() + "/" + refsDir + "/" + revision
}

// dated replaces the age of a ref's file by the time when the Hub said so,
// where we know it: an unchanged ref is not written again.
func (c *Cache) dated(k KnownRef) KnownRef {
	if l, ok := c.learnt(k.Repo, k.Name); ok && l.Commit == k.Commit {
		k.Learnt = time.Unix(l.Learnt, 0)
	}
	return k
}

func (c *Cache) learnt(repo ref.Repo, revision string) (l learntRef, ok bool) {
	value := c.book.get(bucketRefs, repo.Folder()+"/"+revision)
	if value == nil || json.Unmarshal(value, &l) != nil || !ref.IsCommit(string(l.Commit)) {
		return learntRef{}, false
	}
	return l, true
}

// readRef accepts exactly a commit; blanks around it, which some tool may
// write, are no harm.
func readRef(path string) (ref.Commit, time.Time, error) {
	f, stamp, err := disk.OpenFile(path)
	if err != nil {
		return "", time.Time{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 128))
	if err != nil {
		return "", time.Time{}, err
	}
	commit, err := ref.ParseCommit(strings.TrimSpace(string(text)))
	return commit, time.Unix(0, stamp.ModNs), err
}

// SetRef writes down that the Hub says revision is commit, now. The file that
// all tools share is written only when its content changes, and only when there
// is a snapshot of the commit, since scanners call a ref without one corrupt, and
// when it can be; our own memory is kept either way. A full commit needs no ref.
func (c *Cache) SetRef(repo ref.Repo, revision string, commit ref.Commit) error {
	if err := ref.CheckRevision(revision); err != nil {
		return fmt.Errorf("set ref: %w", err)
	}
	if !ref.IsCommit(string(commit)) {
		return fmt.Errorf("set ref %s of %s: %q is no commit", revision, repo, commit)
	}
	if ref.IsCommit(revision) {
		return nil
	}
	before, _ := c.learnt(repo, revision)
	now := time.Now()
	value, err := json.Marshal(learntRef{commit, now.Unix()})
	if err != nil {
		return fmt.Errorf("set ref %s of %s: %w", revision, repo, err)
	}
	c.book.put(bucketRefs, repo.Folder()+"/"+revision, value)
	there, err := c.writeRef(repo, revision, commit)
	if isLocked(err) {
		c.log.Debug("a branch's name is kept in mind only", "repo", repo, "revision", revision, "error", err)
		return nil
	}
	if err != nil || !there {
		return wrap(err, "set ref %s of %s", revision, repo)
	}
	news := before.Commit != commit || now.Sub(time.Unix(before.Learnt, 0)) > tellAgain
	c.noteRef(KnownRef{repo, revision, commit, now}, news)
	return nil
}

// writeRef says whether the file has the commit now.
func (c *Cache) writeRef(repo ref.Repo, revision string, commit ref.Commit) (there bool, err error) {
	if old, _, err := readRef(c.abs(refRel(repo, revision))); err == nil && old == commit {
		return true, nil
	}
	snapshot := repo.Folder() + "/" + snapshotsDir + "/" + string(commit)
	if fi, err := os.Lstat(c.abs(snapshot)); err != nil || !fi.IsDir() {
		return false, nil
	}
	root, err := os.OpenRoot(c.abs(repo.Folder()))
	if err != nil {
		return false, err
	}
	defer root.Close()
	at := refsDir + "/" + revision
	if err := root.MkdirAll(path.Dir(at), 0o777); err != nil {
		return false, c.diskError(err, 0)
	}
	tmp := at + "." + random() + ".tmp"
	err = root.WriteFile(tmp, []byte(commit), 0o666)
	if err == nil {
		err = disk.Replace(root, tmp, at)
	}
	if err != nil {
		return false, errors.Join(c.diskError(err, int64(len(commit))), removeIfThere(root, tmp))
	}
	return true, nil
}

// noteRef puts a ref into the holdings at once, without waiting for a scan.
func (c *Cache) noteRef(k KnownRef, news bool) {
	c.mu.Lock()
	s := c.noteLocked(k.Repo)
	s.refs[k.Name] = k
	s.shown, c.shown = nil, nil
	c.mu.Unlock()
	if news {
		c.notify()
	}
}

// random is a part of a name that nobody else uses: 8 hex digits, as
// huggingface_hub has them.
func random() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func removeIfThere(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
