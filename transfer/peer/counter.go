package peer

import (
	"context"
	"io"
	"net/http"

	"golang.org/x/time/rate"
)

// piece is what is sent at once under a limit, in bytes.
const piece = 64 << 10

// Limit is a limiter for so many bytes a second, nil for 0. It lets a tenth of
// a second's worth pass at once.
func Limit(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(max(piece, bytesPerSecond/10)))
}

// counter counts the body bytes of an answer and keeps the way to sendfile
// open: without ReadFrom, wrapping a ResponseWriter would copy every byte
// through this process.
type counter struct {
	http.ResponseWriter
	n     int64
	ctx   context.Context
	limit *rate.Limiter
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	if c.limit != nil {
		return c.slowly(r)
	}
	n, err := io.Copy(c.ResponseWriter, r)
	c.n += n
	return n, err
}

// slowly sends piece by piece, as the limit allows.
func (c *counter) slowly(r io.Reader) (sent int64, err error) {
	buf := make([]byte, piece)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if werr := c.limit.WaitN(c.ctx, n); werr != nil {
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

func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
