package node

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"hffs/transfer/peer"
)

// A passer-by that has drawn something from the Hub which none of the others has
// yet stays for a moment, for as long as they keep asking: else it would have to be
// drawn again.
const (
	lingerMost = 3 * time.Second
	lingerIdle = 150 * time.Millisecond // nobody has asked for so long: nobody will
	lingerLook = 25 * time.Millisecond
	shutMost   = time.Second // for answers that are under way
)

// linger waits until the others have what they still need from here.
func (p *Passerby) linger() {
	if p.visits == nil || !p.engine.transfer.Owes() {
		return
	}
	took := p.visits.await(p.hurried)
	p.cfg.Log.Debug("stayed for the others", "for", took)
}

// shut closes the door behind those who are served just now.
func (p *Passerby) shut() {
	if p.door == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutMost)
	defer cancel()
	go func() {
		select {
		case <-p.hurried:
			cancel()
		case <-ctx.Done():
		}
	}()
	_ = p.door.Shutdown(ctx)
}

// visits is a door that takes note of who comes for bytes.
type visits struct {
	http.Handler

	mu     sync.Mutex // guards what follows
	inside int
	last   time.Time // when one went
}

func (v *visits) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || strings.HasPrefix(r.URL.Path, peer.PathFeeds) {
		v.Handler.ServeHTTP(w, r)
		return
	}
	v.mu.Lock()
	v.inside++
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.inside--
		v.last = time.Now()
	}()
	v.Handler.ServeHTTP(w, r)
}

// await waits until nobody comes any more, but not for ever.
func (v *visits) await(hurried <-chan struct{}) time.Duration {
	began := time.Now()
	look := time.NewTicker(lingerLook)
	defer look.Stop()
	for time.Since(began) < lingerMost && !v.over(began) {
		select {
		case <-look.C:
		case <-hurried:
			return time.Since(began)
		}
	}
	return time.Since(began)
}

// over tells whether nobody is there, and nobody has come for a while since then.
func (v *visits) over(then time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.inside == 0 && time.Since(then) >= lingerIdle && time.Since(v.last) >= lingerIdle
}
