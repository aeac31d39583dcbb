package cache

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRecordCutShort: whatever is left of the database, it opens, and works.
func TestRecordCutShort(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	b, err := openBook(dir, log)
	require.NoError(t, err)
	for i := range 2000 {
		b.put(bucketRefs, orderKey(uint64(i)), make([]byte, 100))
	}
	require.NoError(t, b.close())
	whole, err := os.ReadFile(filepath.Join(dir, "cache.db"))
	require.NoError(t, err)
	for cut := 0; cut < len(whole); cut += len(whole)/37 + 1 {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cache.db"), whole[:cut], 0o600))
		b, err := openBook(dir, log)
		require.NoError(t, err, "cut at %d of %d", cut, len(whole))
		b.put(bucketRefs, "a", []byte("b"))
		require.NoError(t, b.close())
		b, err = openBook(dir, log)
		require.NoError(t, err)
		require.Equal(t, "b", string(b.get(bucketRefs, "a")))
		require.NoError(t, b.close())
	}
}
