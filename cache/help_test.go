package cache

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

const (
	commitA = ref.Commit("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	commitB = ref.Commit("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

var demo = ref.Repo{Type: ref.Model, ID: "org/demo"}

// open is a cache in a folder of its own.
func open(t *testing.T, change ...func(*Config)) *Cache {
	t.Helper()
	base := t.TempDir()
	cfg := Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "hffs")}
	for _, f := range change {
		f(&cfg)
	}
	c, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func noLinks(cfg *Config) { cfg.NoSymlinks = true }

// run keeps Run going until the test ends.
func run(t *testing.T, c *Cache) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// bytesOf makes content that differs from byte to byte and seed to seed.
func bytesOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = io.ReadFull(src, b)
	return b
}

func lfs(path string, content []byte) ref.Entry {
	sum := sha256.Sum256(content)
	return entry(path, hex.EncodeToString(sum[:]), content)
}

func regular(path string, content []byte) ref.Entry {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content))
	return entry(path, hex.EncodeToString(sum[:]), content)
}

func entry(path, etag string, content []byte) ref.Entry {
	return ref.Entry{Repo: demo, Commit: commitA, Path: path, Blob: ref.Blob{ETag: ref.ETag(etag), Size: int64(len(content))}}
}

func part(m chunk.Map, content []byte, i int) []byte { return content[m.Offset(i):m.Offset(i+1)] }

func fill(t *testing.T, p *Partial, content []byte) {
	t.Helper()
	for i := range p.Map().Len() {
		require.NoError(t, p.WriteChunk(i, part(p.Map(), content, i)))
	}
}

func begin(t *testing.T, c *Cache, e ref.Entry) *Partial {
	t.Helper()
	p, err := c.Begin(t.Context(), e)
	require.NoError(t, err)
	return p
}

// fetch puts content into the cache the way a download does.
func fetch(t *testing.T, c *Cache, e ref.Entry, content []byte) string {
	t.Helper()
	p := begin(t, c, e)
	fill(t, p, content)
	path, err := p.Commit(t.Context())
	require.NoError(t, err)
	return path
}

// foreign puts content into the cache the way another tool does: unchecked,
// renamed into place, with a relative link.
func foreign(t *testing.T, c *Cache, e ref.Entry, content []byte) (blob string) {
	t.Helper()
	repo := filepath.Join(c.Dir(), e.Repo.Folder())
	blob = filepath.Join(repo, "blobs", string(e.Blob.ETag))
	link := filepath.Join(repo, "snapshots", string(e.Commit), filepath.FromSlash(e.Path))
	require.NoError(t, os.MkdirAll(filepath.Dir(blob), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
	require.NoError(t, os.WriteFile(blob+".0badcafe.incomplete", content, 0o644))
	require.NoError(t, os.Rename(blob+".0badcafe.incomplete", blob))
	target, err := filepath.Rel(filepath.Dir(link), blob)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(target, link))
	return blob
}

// tree lists everything below dir: folders end in "/", links show where they
// lead, files what is in them.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir():
			rel += "/"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			rel += " -> " + target
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel += " = " + string(content)
		}
		list = append(list, rel)
		return nil
	})
	require.NoError(t, err)
	sort.Strings(list)
	return list
}

// paths are the files in the holdings, as commit/path.
func paths(c *Cache) []string {
	got := []string{}
	for _, s := range c.Holdings().Snapshots {
		for _, f := range s.Files {
			got = append(got, s.Repo.String()+"@"+string(s.Commit[:1])+"/"+f.Path)
		}
	}
	return got
}

// waitFor reads Changes until the holdings are as wished.
func waitFor(t *testing.T, c *Cache, what string, ok func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-c.Changes():
		case <-limit:
			require.FailNow(t, "never happened: "+what, "holdings: %v", paths(c))
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

func lines(s ...string) string { return strings.Join(s, "\n") }
