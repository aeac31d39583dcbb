package node

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestUnreadableState: what another account may not look into is not taken for empty.
func TestUnreadableState(t *testing.T) {
	dir := t.TempDir()
	state, file := filepath.Join(dir, "closed"), filepath.Join(dir, "open")
	layOurs(t, state, "node-id")
	layOurs(t, file, "node-id", "cache.db")
	require.NoError(t, os.Chmod(state, 0))
	require.NoError(t, os.Chmod(filepath.Join(file, "node-id"), 0))
	withoutPower(t, func() {
		for _, at := range []string{state, file} {
			ours, _, err := Belongings(at)
			require.ErrorIs(t, err, fs.ErrPermission, at)
			require.Empty(t, ours)
		}
	})
	require.NoError(t, os.Chmod(state, 0o700))
}

// withoutPower has this thread do without root's power over files, where it has it.
func withoutPower(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	require.NoError(t, unix.Capget(&head, &before[0]))
	less := before
	less[0].Effective &^= 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	require.NoError(t, unix.Capset(&head, &less[0]))
	defer func() { require.NoError(t, unix.Capset(&head, &before[0])) }()
	f()
}
