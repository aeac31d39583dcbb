package localdir

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

const commit = ref.Commit("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

func blobOf(data string) ref.Blob {
	sum := sha256.Sum256([]byte(data))
	return ref.Blob{ETag: ref.ETag(hex.EncodeToString(sum[:])), Size: int64(len(data))}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "new", "folder")
	d, err := Open(at)
	require.NoError(t, err)
	_, err = Open(at)
	require.NoError(t, err, "it may be there")
	const file = "sub/ünï #1.txt"
	b := blobOf("hello")
	require.False(t, d.Has(t.Context(), file, b))
	dst, tmp, err := d.Prepare(file)
	require.NoError(t, err)
	require.NoFileExists(t, tmp)
	require.NoError(t, os.WriteFile(dst, []byte("hello"), 0o600))
	require.True(t, d.Has(t.Context(), file, b), "by its bytes")
	require.False(t, d.Has(t.Context(), file, blobOf("jello")))

	require.NoError(t, d.Note(file, commit, b.ETag))
	text, err := os.ReadFile(filepath.Join(at, ".cache", "huggingface", "download", "sub", "ünï #1.txt.metadata"))
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	require.Equal(t, []string{string(commit), string(b.ETag)}, lines[:2])
	require.Regexp(t, `^\d+\.\d{6}$`, lines[2])
	require.True(t, d.Has(t.Context(), file, b))
	require.NoError(t, os.WriteFile(dst, []byte("jello"), 0o600))
	later := time.Now().Add(time.Minute)
	require.NoError(t, os.Chtimes(dst, later, later))
	require.False(t, d.Has(t.Context(), file, b), "it was written to since")
	require.True(t, d.Has(t.Context(), file, blobOf("jello")))
	require.NoError(t, os.WriteFile(dst, []byte("hell"), 0o600))
	require.False(t, d.Has(t.Context(), file, b), "it was cut off")

	require.FileExists(t, filepath.Join(at, ".cache", "huggingface", "CACHEDIR.TAG"))
	require.NoError(t, d.KeepTree(commit, []byte("{}")))
	require.FileExists(t, filepath.Join(at, ".cache", "huggingface", "trees", string(commit)+".json"))
}

func TestNonsenseIsNoNote(t *testing.T) {
	t.Parallel()
	d, err := Open(t.TempDir())
	require.NoError(t, err)
	b := blobOf("hello")
	dst, _, err := d.Prepare("f")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dst, []byte("hello"), 0o600))
	for _, text := range []string{"", "a\nb\nc\n", string(commit) + "\n" + string(b.ETag) + "\nNaN\n", string(commit) + "\n" + string(b.ETag) + "\n1e99\n", strings.Repeat("x", 5000)} {
		require.NoError(t, os.WriteFile(d.note("f"), []byte(text), 0o600))
		require.True(t, d.Has(t.Context(), "f", b), "its bytes are read instead: %q", text)
		require.False(t, d.Has(t.Context(), "f", blobOf("jello")))
	}
}

func TestNamesAmongTheNotesAreRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"../x", "/x", ".cache/huggingface/download/x.metadata", ".CACHE/HuggingFace/x", ".cache/huggingface"} {
		require.Error(t, Check(bad), bad)
	}
	for _, good := range []string{"x", ".cache/x", "a/.cache/huggingface/x", ".cache/huggingface2"} {
		require.NoError(t, Check(good), good)
	}
}
