package index

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What this package writes it knows again, and under the same names nothing else.
func TestIsOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sample(t, dir)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Greater(t, len(names), 3)
	for _, e := range names {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		require.True(t, IsOurs(e.Name(), f), e.Name())
		require.False(t, IsOurs("notes", f))
		require.NoError(t, f.Close())
		for _, other := range []string{"", "text", strings.Repeat("text ", 4000)} {
			require.False(t, IsOurs(e.Name(), strings.NewReader(other)), e.Name())
		}
	}
}
