package ui

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// failing is a writer that fails as it is told to.
type failing struct{ errs []error }

func (f *failing) Write(b []byte) (int, error) {
	err := f.errs[0]
	f.errs = f.errs[1:]
	return len(b), err
}

func TestOutputRemembersItsFirstError(t *testing.T) {
	t.Parallel()
	first, second := errors.New("full"), errors.New("gone")
	s := Streams{Out: NewOutput(&failing{[]error{nil, first, second, nil}})}
	for range 2 {
		require.NoError(t, s.Lost())
		Table(s.Out, nil, [][]string{{"x"}})
	}
	fmt.Fprintln(s.Out)
	fmt.Fprintln(s.Out)
	require.ErrorIs(t, s.Lost(), first)
}

func TestReaderLeft(t *testing.T) {
	t.Parallel()
	left := syscall.EPIPE
	if runtime.GOOS == "windows" {
		left = 109
	}
	require.True(t, ReaderLeft(&os.PathError{Op: "write", Path: "|1", Err: left}))
	require.False(t, ReaderLeft(&os.PathError{Op: "write", Path: "|1", Err: syscall.ENOSPC}))
	require.False(t, ReaderLeft(nil))
}

func TestStdoutIsTheStreamItself(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.Same(t, &b, Streams{Out: NewOutput(&b)}.Stdout())
	require.Same(t, &b, Streams{Out: &b}.Stdout())
	require.Same(t, os.Stdout, System().Stdout(), "a program that is started gets the file, no pipe")
	require.NoError(t, Streams{Out: &b}.Lost())
}
