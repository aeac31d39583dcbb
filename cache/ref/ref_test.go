package ref

import (
	"crypto/sha1"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseRepo(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"gpt2", "org/name", "O-rg/n.a_m-e1", "a/b", "01-ai/Yi-1.5-9B", strings.Repeat("x", MaxNameLen)} {
		r, err := ParseRepo(Model, id)
		require.NoError(t, err, id)
		back, err := ParseFolder(r.Folder())
		require.NoError(t, err, id)
		require.Equal(t, r, back)
	}
	for _, id := range []string{
		"", "/", "a/", "/a", "a/b/c", "../etc", "a/..", "a--b", "a/b--c", ".a/b", "a/-b", "a/b.", "a.git", "a/b.git",
		"a b", "a\x00b", "ü/x", "a\\b", "a/b\n", "https://x", strings.Repeat("x", MaxNameLen+1), "~/x",
	} {
		_, err := ParseRepo(Model, id)
		var bad *Error
		require.ErrorAs(t, err, &bad, "%q", id)
		require.Equal(t, "repo", bad.What)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	require.Equal(t, "models--org--name", Repo{Model, "org/name"}.Folder())
	require.Equal(t, "datasets--gpt2", Repo{Dataset, "gpt2"}.Folder())
	for _, name := range []string{"", "models", "models--", "kernels--a--b", "model--a--b", "models--a--b--c", ".locks", "models--..--x"} {
		_, err := ParseFolder(name)
		require.Error(t, err, "%q", name)
	}
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	for _, rev := range []string{"main", "v1.0", "refs/pr/1", "refs/convert/parquet", "feature/x-y_z", strings.Repeat("a", 40), "分支"} {
		require.NoError(t, CheckRevision(rev), rev)
	}
	for _, rev := range []string{
		"", "..", "a..b", "/a", "a/", "a//b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", ".a", "a/.b", "-a", "a.lock",
		"a/b.lock", "a.", "a@{1}", "a\x01", "a\x7f", "\xff", strings.Repeat("a", MaxRevisionLen+1), "refs/../../x",
	} {
		require.Error(t, CheckRevision(rev), "%q", rev)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"a", "a/b/c.bin", "with space", "ünï/码.txt", "100%#?+&=.txt", "..a", "a..b", ".gitattributes", "ab:c"} {
		require.NoError(t, CheckPath(p), p)
	}
	for _, p := range []string{
		"", "/a", "..", "../a", "a/..", "a/../b", "./a", "a/./b", "a//b", "a/", ".", "C:/x", "c:", "a:b", `a\b`, `\\host\share`,
		"a\x00", "a\nb", "\u0085", "\xff", strings.Repeat("a", 256), strings.Repeat("a/", 600),
	} {
		require.Error(t, CheckPath(p), "%q", p)
	}
}

func TestETags(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("aB", 20)
	for _, s := range []string{sum, `"` + sum + `"`, `W/"` + sum + `"`, " " + sum + " "} {
		e, err := ParseETag(s)
		require.NoError(t, err, s)
		require.EqualValues(t, strings.ToLower(sum), e)
		require.False(t, e.IsSHA256())
	}
	for _, s := range []string{"", `""`, "xyz", sum + "0", strings.Repeat("g", 64)} {
		_, err := ParseETag(s)
		require.Error(t, err, s)
	}
	content := []byte("hello\n")
	git := sha1.Sum([]byte("blob 6\x00hello\n"))
	e, err := ParseETag(hex.EncodeToString(git[:]))
	require.NoError(t, err)
	h := e.NewHash(int64(len(content)))
	h.Write(content)
	require.True(t, e.Matches(h.Sum(nil)))
	require.EqualValues(t, "ce013625030ba8dba906f756967f9e9ca394464a", e, "as git hash-object says")
}

func TestCommitsAndSizes(t *testing.T) {
	t.Parallel()
	require.True(t, IsCommit(strings.Repeat("0", 40)))
	require.False(t, IsCommit("main"))
	require.False(t, IsCommit(strings.Repeat("0", 39)))
	require.NoError(t, CheckSize(0))
	require.NoError(t, CheckSize(MaxBlobSize))
	require.Error(t, CheckSize(-1))
	require.Error(t, CheckSize(MaxBlobSize+1))
	_, err := ParseXetHash(strings.Repeat("*", 64))
	require.Error(t, err)
}

// FuzzPath: what passes stays inside the folder that it is joined to.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a/b", "../x", "a/../../b", "C:\\x", "a//b", "..", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) != nil {
			return
		}
		require.True(t, filepath.IsLocal(filepath.FromSlash(p)), "%q", p)
		require.Equal(t, "/base/"+p, filepath.ToSlash(filepath.Join("/base", p)))
	})
}

// FuzzFolder: a folder that parses is the folder of what it parses to.
func FuzzFolder(f *testing.F) {
	f.Add("models--a--b")
	f.Add("datasets--x")
	f.Fuzz(func(t *testing.T, name string) {
		if r, err := ParseFolder(name); err == nil {
			require.Equal(t, name, r.Folder())
		}
	})
}
