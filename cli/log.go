package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"hffs/cli/ui"
)

// logFor is a command's log: what is done with -v, everything with -vv, for whoever debugs;
// otherwise only what a person should know, from the given level on, as a line
// like any other that we say.
func (a *app) logFor(from slog.Level) *slog.Logger {
	if n := a.level(); n > 0 {
		level := slog.LevelInfo
		if n > 1 {
			level = slog.LevelDebug
		}
		return slog.New(slog.NewTextHandler(a.ui.Err, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(&plainLog{mu: new(sync.Mutex), out: a.ui.Err, from: from})
}

// plainLog writes "hffs: message (key value, …)".
type plainLog struct {
	mu    *sync.Mutex // one line at a time
	out   io.Writer
	from  slog.Level
	attrs []slog.Attr
}

func (p *plainLog) Enabled(_ context.Context, l slog.Level) bool { return l >= p.from }

func (p *plainLog) Handle(_ context.Context, r slog.Record) error {
	var words []string
	add := func(a slog.Attr) bool {
		words = append(words, fmt.Sprintf("%s %v", a.Key, a.Value))
		return true
	}
	for _, a := range p.attrs {
		add(a)
	}
	r.Attrs(add)
	line := "hffs: " + r.Message
	if len(words) > 0 {
		line += " (" + strings.Join(words, ", ") + ")"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintln(p.out, ui.Clean(line))
	return err
}

func (p *plainLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *p
	more.attrs = append(p.attrs[:len(p.attrs):len(p.attrs)], attrs...)
	return &more
}

func (p *plainLog) WithGroup(string) slog.Handler { return p }
