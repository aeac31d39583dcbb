package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"hffs/cli/control"
)

// maxLog is how long a log gets, in bytes; what came before is kept once more, under
// the same name with ".1".
const maxLog = 4 << 20

// logFile is a log of bounded length, in which each line begins with the time. It is
// emptied rather than renamed when it is full: others may have it open as well, such
// as a runtime that is about to say why it crashes.
type logFile struct {
	path string
	max  int64
	now  func() time.Time

	mu     sync.Mutex // guards what follows
	f      *os.File
	inLine bool // the last line has not ended yet
}

func openLog(path string) (*logFile, error) {
	f, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	return &logFile{path: path, max: maxLog, now: time.Now, f: f}, nil
}

func openAppend(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

// takesLines tries whether a log can be written to, with an empty line.
func takesLines(path string) error {
	f, err := openAppend(path)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n")
	return errors.Join(err, f.Close())
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.stamped(b)
	if fi, err := l.f.Stat(); err == nil && fi.Size()+int64(len(text)) > l.max {
		l.begin()
	}
	if _, err := l.f.Write(text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// stamped puts the time before each line.
func (l *logFile) stamped(b []byte) []byte {
	var out []byte
	for line := range bytes.Lines(b) {
		if !l.inLine {
			out = l.now().AppendFormat(out, time.RFC3339)
			out = append(out, ' ')
		}
		out = append(out, line...)
		l.inLine = line[len(line)-1] != '\n'
	}
	return out
}

// begin keeps what there is under another name and begins anew. Where it cannot be
// kept it is lost: a log must not fill the disk.
func (l *logFile) begin() {
	_ = copyFile(l.path, l.path+".1")
	_ = os.Truncate(l.path, 0)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if e := out.Close(); err == nil {
		err = e
	}
	return err
}

// logTo has all that is said from now on written to a file as well, the words of a
// crash included.
func (a *app) logTo(path string) error {
	l, err := openLog(path)
	if err != nil {
		return noLog(path, err)
	}
	a.ui.ErrTTY = false // a file has no colours
	if l.isBehind(a.ui.Err) {
		a.ui.Err = l
		return nil
	}
	_ = debug.SetCrashOutput(l.f, debug.CrashOptions{}) // without it the log says less
	a.ui.Err = &both{a.ui.Err, l}
	return nil
}

func noLog(path string, err error) error {
	return &control.Error{Code: control.CodeStorage, Message: fmt.Sprintf("the log %s cannot be written: %v", path, rootCause(err)), Hint: "--log-file takes the path of a file; its folder is made where there is none"}
}

// isBehind tells whether a stream goes into this very file.
func (l *logFile) isBehind(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	theirs, err := f.Stat()
	if err != nil {
		return false
	}
	ours, err := l.f.Stat()
	return err == nil && os.SameFile(theirs, ours)
}

// both writes to a stream that may be closed, and to the log all the same.
type both struct{ stream, log io.Writer }

func (b *both) Write(p []byte) (int, error) {
	_, _ = b.stream.Write(p)
	return b.log.Write(p)
}
