package node

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache"
)

// What is lacking is named, and the folder that could be elsewhere.
func TestExplainNoRoom(t *testing.T) {
	t.Parallel()
	said := Explain(fmt.Errorf("begin: %w", &cache.SpaceError{Need: 5000, Free: 10, Dir: "/hub"}))
	require.Equal(t, "the disk is too full: 5.0 kB needed, 10 B free, in /hub", said.Message)
	require.Contains(t, said.Hint, "HF_HUB_CACHE")

	said = Explain(&cache.SpaceError{Need: 4000, Free: 63e6, Dir: "/hub"})
	require.Contains(t, said.Message, "the number of files that it can hold, or a quota, is used up")
	require.NotContains(t, said.Message, "needed")
	require.Contains(t, said.Hint, "df -i")

	said = Explain(&cache.SpaceError{Need: 1 << 20, Dir: "/state", State: true})
	require.Contains(t, said.Hint, "HFFS_HOME")
	require.NotContains(t, said.Hint, "HF_HUB_CACHE")
	require.NotContains(t, said.Hint, "hf cache")

	if runtime.GOOS == "windows" {
		return // another number there
	}
	// A folder that cannot be written to for want of room is not forbidden.
	said = Explain(&cache.NotWritableError{Dir: "/state", Err: syscall.ENOSPC})
	require.Contains(t, said.Message, "the disk is full")
	require.NotContains(t, said.Hint, "writable for you")
}
