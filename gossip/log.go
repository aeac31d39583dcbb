package gossip

import (
	"bytes"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// quiet lets a message through once in a while: anybody on the network can make
// us write log lines, and none of them is worth filling a disk.
type quiet struct {
	mu   sync.Mutex // guards last
	last map[string]time.Time
}

const (
	quietTime = 10 * time.Second
	quietKeys = 256
)

// pass reports whether a message of this key may be written now.
func (q *quiet) pass(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Sub(q.last[key]) < quietTime {
		return false
	}
	if q.last == nil || len(q.last) >= quietKeys {
		q.last = map[string]time.Time{}
	}
	q.last[key] = now
	return true
}

// libraryLog hands memberlist's lines to our log at debug: its [ERR] is routine
// on a network where nodes come and go.
type libraryLog struct {
	log   *slog.Logger
	quiet *quiet
}

func newLibraryLog(l *slog.Logger, q *quiet) *log.Logger {
	return log.New(libraryLog{l, q}, "", 0)
}

func (l libraryLog) Write(p []byte) (int, error) {
	line := string(bytes.TrimSpace(p))
	if l.quiet.pass(messageKey(line)) {
		l.log.Debug("memberlist", "line", strings.TrimPrefix(line, "[DEBUG] memberlist: "))
	}
	return len(p), nil
}

// messageKey is what lines have in common that differ in names, numbers and
// addresses: their first words, up to anything a stranger may have chosen.
func messageKey(line string) string {
	words := strings.Fields(line)
	words = words[:min(len(words), 5)]
	if i := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w, "=0123456789'\"") }); i >= 0 {
		words = words[:i]
	}
	return strings.Join(words, " ")
}
