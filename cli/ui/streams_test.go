package ui

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilesAreNoTerminals(t *testing.T) {
	t.Setenv("TERM", "xterm")
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer f.Close()
	require.False(t, isTerminal(f))
	require.Equal(t, 123, windowWidth(f, "123"))
	require.Equal(t, defaultWidth, windowWidth(f, "many"))
	require.Equal(t, defaultWidth, windowWidth(f, "-5"))
}

func TestSystemColours(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	require.False(t, System().Color)
	t.Setenv("NO_COLOR", "")
	require.True(t, System().Color)
	require.Positive(t, System().width())
}

func TestBareTerminals(t *testing.T) {
	t.Parallel()
	require.False(t, understandsEscapes(os.Stderr, "dumb"))
}

func TestZeroStreams(t *testing.T) {
	t.Parallel()
	require.Equal(t, defaultWidth, Streams{}.width())
	require.Equal(t, 1, Streams{Width: func() int { return -3 }}.width())
}
