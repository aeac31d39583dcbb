// Package localdir is a folder of a person's own into which files of a repo are put,
// as huggingface_hub does for "hf download --local-dir": each at its path, with a note
// beside it of what it is, by which that tool knows that it need not fetch it again.
//
//	<dir>/<path>                                       the file
//	<dir>/.cache/huggingface/download/<path>.metadata  commit, etag, time: a line each
//	<dir>/.cache/huggingface/trees/<commit>.json       the commit's files
//	<dir>/.cache/huggingface/CACHEDIR.TAG, .gitignore
//
// A note counts as long as the file was not written to after its time. Unlike that
// tool, we also hold the file's size against the blob's, so that one that was cut off
// is put there anew.
package localdir

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hffs/cache/ref"
)

// ownFolder is where the notes are; a repo may not put files there.
const ownFolder = ".cache/huggingface"

const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55\n" +
	"# This file is a cache directory tag created by huggingface_hub.\n" +
	"# For information about cache directory tags, see:\n" +
	"#\thttps://bford.info/cachedir/\n"

// Dir is a folder for files of repos.
type Dir struct{ path string }

// Open makes the folder where it is missing.
func Open(path string) (*Dir, error) {
	d := &Dir{path}
	if err := os.MkdirAll(d.own(), 0o777); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	for name, text := range map[string]string{"CACHEDIR.TAG": cacheTag, ".gitignore": "*"} {
		f, err := os.OpenFile(filepath.Join(d.own(), name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open folder: %w", err)
		}
		_, err = f.WriteString(text)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("open folder: %w", err)
		}
	}
	return d, nil
}

// At is the folder as it is, to be looked at only.
func At(path string) *Dir { return &Dir{path} }

func (d *Dir) own(parts ...string) string {
	return filepath.Join(append([]string{d.path, filepath.FromSlash(ownFolder)}, parts...)...)
}

// Path is the folder's own.
func (d *Dir) Path() string { return d.path }

// Check refuses a file that would lie among the notes.
func Check(file string) error {
	if err := ref.CheckPath(file); err != nil {
		return err
	}
	if lower := strings.ToLower(file); lower == ownFolder || strings.HasPrefix(lower, ownFolder+"/") {
		return &ref.Error{What: "file", Value: file, Why: "the folder's own notes are kept there"}
	}
	return nil
}

// File is where a file of the repo lies.
func (d *Dir) File(file string) string { return filepath.Join(d.path, filepath.FromSlash(file)) }

func (d *Dir) note(file string) string {
	return d.own("download", filepath.FromSlash(file)+".metadata")
}

// Prepare makes the folders for a file and gives a name that is free for what is on
// its way there. It is beside the notes, where no program takes it for a file.
func (d *Dir) Prepare(file string) (dst, tmp string, err error) {
	dst, note := d.File(file), d.note(file)
	for _, path := range []string{dst, note} {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return "", "", fmt.Errorf("make room for %s: %w", file, err)
		}
	}
	return dst, d.own("download", ".hffs-"+random()+".incomplete"), nil
}

// Has tells whether a file is there and is the blob: by its note, or, where it has
// none, by its bytes. Of another commit is fine.
func (d *Dir) Has(ctx context.Context, file string, b ref.Blob) bool {
	fi, err := os.Stat(d.File(file))
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != b.Size {
		return false
	}
	if etag, at, ok := d.read(file); ok && fi.ModTime().Add(-time.Second).Before(at) {
		return etag == b.ETag
	}
	return d.is(ctx, file, b)
}

func (d *Dir) read(file string) (etag ref.ETag, at time.Time, ok bool) {
	f, err := os.Open(d.note(file))
	if err != nil {
		return "", at, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	lines := strings.Split(string(text), "\n")
	if err != nil || len(lines) < 3 {
		return "", at, false
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(lines[2]), 64)
	if err != nil || !(seconds > 0 && seconds < 1e11) {
		return "", at, false
	}
	etag, err = ref.ParseETag(lines[1])
	return etag, time.UnixMicro(int64(seconds * 1e6)), err == nil
}

// is reads the file.
func (d *Dir) is(ctx context.Context, file string, b ref.Blob) bool {
	f, err := os.Open(d.File(file))
	if err != nil {
		return false
	}
	defer f.Close()
	whole := b.ETag.NewHash(b.Size)
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(whole, f, 1<<20)
	}
	return err == io.EOF && b.ETag.Matches(whole.Sum(nil))
}

// Note writes down what a file is, as of now.
func (d *Dir) Note(file string, commit ref.Commit, etag ref.ETag) error {
	now := strconv.FormatFloat(float64(time.Now().UnixMicro())/1e6, 'f', 6, 64)
	return d.write(d.note(file), fmt.Appendf(nil, "%s\n%s\n%s\n", commit, etag, now))
}

// KeepTree leaves the list of a commit's files, as cache.TreeJSON makes it.
func (d *Dir) KeepTree(commit ref.Commit, tree []byte) error {
	at := d.own("trees", string(commit)+".json")
	if have, err := os.ReadFile(at); err == nil && bytes.Equal(have, tree) {
		return nil
	}
	return d.write(at, tree)
}

func (d *Dir) write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("write a note: %w", err)
	}
	tmp := filepath.Join(filepath.Dir(path), ".hffs-"+random()+".tmp")
	err := os.WriteFile(tmp, text, 0o666)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("write a note: %w", errors.Join(err, os.Remove(tmp)))
	}
	return nil
}

func random() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
