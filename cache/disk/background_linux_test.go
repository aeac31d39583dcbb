package disk

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// niceness of the calling thread; the system call counts backwards from 20.
func niceness(t *testing.T) int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	require.NoError(t, err)
	return 20 - n
}

func TestOnlyTheBackgroundStepsBack(t *testing.T) {
	t.Parallel()
	before := niceness(t)
	for range 20 {
		behind := 0
		InBackground(func() { behind = niceness(t) })
		require.Equal(t, max(before, backgroundNice), behind)
		ended := make(chan int)
		go func() { ended <- niceness(t) }()
		require.Equal(t, before, <-ended, "no thread of low priority is left over")
	}
}
