package disk

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteAt(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	defer f.Close()
	want := make([]byte, 0)
	for _, w := range []struct{ off, n int }{{0, 1}, {writePiece - 1, 2}, {5, 3 * writePiece}, {writePiece, writePiece}, {4*writePiece + 7, 0}, {2*writePiece + 1, 2*writePiece - 1}} {
		data := make([]byte, w.n)
		for i := range data {
			data[i] = byte(rand.Int())
		}
		if end := w.off + w.n; end > len(want) && w.n > 0 {
			want = append(want, make([]byte, end-len(want))...)
		}
		copy(want[min(w.off, len(want)):], data)
		require.NoError(t, WriteAt(f, data, int64(w.off)))
	}
	got, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	require.NoError(t, f.Close())
	require.ErrorIs(t, WriteAt(f, []byte("x"), 0), os.ErrClosed)
}
