package peer

import (
	"context"
	"io"
	"net"
	"net/http"

	"hffs/transfer/pace"
)

// asker is who asks, by address, with its requests under way. Of all of them one
// at a time waits for the limit: so askers have equal shares of it, however many
// requests each makes.
type asker struct {
	requests int
	turn     chan struct{} // held while a request waits
}

func newAsker() *asker { return &asker{turn: make(chan struct{}, 1)} }

// counter counts the body bytes of an answer and keeps the way to sendfile
// open: without ReadFrom, wrapping a ResponseWriter would copy every byte
// through this process.
type counter struct {
	http.ResponseWriter
	n     int64
	ctx   context.Context
	limit *pace.Limit
	asker *asker
}

// count makes the writer of an answer that the limit is for. Maps, news and lists
// are not: they are small, and downloads wait for them.
func (s *Server) count(w http.ResponseWriter, r *http.Request) *counter {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.askers[host]
	if a == nil {
		a = newAsker()
	}
	return &counter{ResponseWriter: w, ctx: r.Context(), limit: s.Limit, asker: a}
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	if c.limit.On() {
		return c.slowly(r)
	}
	n, err := io.Copy(c.ResponseWriter, r)
	c.n += n
	return n, err
}

// slowly sends piece by piece, as the limit allows.
func (c *counter) slowly(r io.Reader) (sent int64, err error) {
	buf := make([]byte, c.limit.Piece())
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if werr := c.wait(n); werr != nil {
				return sent, werr
			}
			m, werr := c.Write(buf[:n])
			sent += int64(m)
			if werr != nil {
				return sent, werr
			}
		}
		if err == io.EOF {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
	}
}

func (c *counter) wait(n int) error {
	select {
	case c.asker.turn <- struct{}{}:
		defer func() { <-c.asker.turn }()
		return c.limit.Wait(c.ctx, n)
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
