package ui

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"syscall"
)

// Output is where results go. It remembers the first error of writing them, so that
// no command has to look after each line and none ends as if all had been told.
type Output struct {
	to io.Writer

	mu  sync.Mutex // guards err
	err error
}

// NewOutput writes to w.
func NewOutput(w io.Writer) *Output { return &Output{to: w} }

// Write hands on what it is given, also after an error.
func (o *Output) Write(b []byte) (int, error) {
	n, err := o.to.Write(b)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// Lost is why some of the results did not get out; nil when they all did.
func (s Streams) Lost() error {
	o, ok := s.Out.(*Output)
	if !ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Stdout is what Out writes to in the end, for a program that is to have it as its own.
func (s Streams) Stdout() io.Writer {
	if o, ok := s.Out.(*Output); ok {
		return o.to
	}
	return s.Out
}

// ReaderLeft tells whether an error of writing means that nobody reads any more, as
// head does not once it has its lines. Windows has two words for it, ERROR_BROKEN_PIPE
// and ERROR_NO_DATA.
func ReaderLeft(err error) bool {
	number, ok := errors.AsType[syscall.Errno](err)
	if ok && runtime.GOOS == "windows" {
		return number == 109 || number == 232
	}
	return ok && number == syscall.EPIPE
}
