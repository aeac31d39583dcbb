package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testLog(t *testing.T) *logFile {
	t.Helper()
	l, err := openLog(filepath.Join(t.TempDir(), "new", "node.log"))
	require.NoError(t, err)
	t.Cleanup(func() { l.f.Close() })
	l.now = func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }
	return l
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

func TestLogLinesHaveTheTime(t *testing.T) {
	t.Parallel()
	l := testLog(t)
	for _, part := range []string{"one\ntw", "o\n", "", "\nthree"} {
		n, err := l.Write([]byte(part))
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	const at = "2026-03-04T05:06:07Z "
	require.Equal(t, at+"one\n"+at+"two\n"+at+"\n"+at+"three", read(t, l.path))
	require.Equal(t, "one", stamp.ReplaceAllString(at+"one", ""))
}

// However much is said, two files are all there is, and the latest words are in them.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	l := testLog(t)
	l.max = 1000
	for i := range 500 {
		fmt.Fprintln(l, "line", i)
	}
	now, before := read(t, l.path), read(t, l.path+".1")
	require.LessOrEqual(t, len(now), 1000)
	require.LessOrEqual(t, len(before), 1000)
	require.Contains(t, now, "line 499\n")
	lines := strings.Split(strings.TrimSpace(before+now), "\n")
	require.Equal(t, fmt.Sprintf("2026-03-04T05:06:07Z line %d", 500-len(lines)), lines[0], "nothing is lost between the two")
	entries, err := os.ReadDir(filepath.Dir(l.path))
	require.NoError(t, err)
	require.Len(t, entries, 2)
	fi, err := os.Stat(l.path + ".1")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm()|0o600)
}

// Whoever else has the file open goes on where it is.
func TestOthersGoOnInALogThatWasEmptied(t *testing.T) {
	t.Parallel()
	l := testLog(t)
	l.max = 100
	other, err := openAppend(l.path)
	require.NoError(t, err)
	defer other.Close()
	require.True(t, l.isBehind(other))
	fmt.Fprintln(l, strings.Repeat("x", 70))
	fmt.Fprintln(l, "anew")
	fmt.Fprintln(other, "panic: oh")
	require.Equal(t, "2026-03-04T05:06:07Z anew\npanic: oh\n", read(t, l.path))
}

// Why a node has ended is not in a log that took nothing.
func TestLogThatTakesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, takesLines(filepath.Join(dir, "new", "x.log")))
	require.Error(t, takesLines(dir))
	const full = "/dev/full"
	if _, err := os.Stat(full); err == nil {
		require.ErrorIs(t, takesLines(full), syscall.ENOSPC)
	}
}
