package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// garbage throws all kinds of rubbish at an address, over UDP and TCP. It is
// content when the other side refuses: what counts is how that side feels
// afterwards. It ends by itself.
func garbage(args []string) error {
	if err := garbageUDP(args[0]); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(16)
	for name, send := range rubbish() {
		g.Go(func() error {
			if err := garbageTCP(args[0], send); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	fmt.Println("done")
	return nil
}

// noise is n bytes of nothing in particular, the same in each run.
func noise(n int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{byte(n)}), n) }

func garbageUDP(addr string) error {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, 1400)
	chaos := noise(1 << 40)
	for kind := range 3000 {
		_, _ = io.ReadFull(chaos, b)
		b[0] = byte(kind)                         // every message type there is, and those there are not
		_, _ = c.Write(b[:1+kind%len(b)])         // refused where nobody listens
		_, _ = c.Write(bytes.Repeat(b[:1], 9000)) // in fragments
	}
	return nil
}

// rubbish is what goes over one TCP connection each.
func rubbish() map[string]io.Reader {
	text := func(s string) io.Reader { return strings.NewReader(s) }
	blob := "/v1/blobs/" + strings.Repeat("a", 64)
	all := map[string]io.Reader{
		"nothing":          text(""),
		"noise":            noise(1 << 20),
		"endless header":   io.MultiReader(text("GET / HTTP/1.1\r\nX: "), noise(32<<20)),
		"long path":        text("GET /" + strings.Repeat("a", 4<<20) + " HTTP/1.1\r\n\r\n"),
		"huge body":        io.MultiReader(text("POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"), noise(32<<20)),
		"climbing":         text("GET /v1/blobs/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
		"climbing escaped": text("GET /v1/blobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n"),
		"odd ranges":       text("GET " + blob + " HTTP/1.1\r\nHost: x\r\nRange: bytes=9-1,-0,99999999999999999999-\r\n\r\n"),
		"half a request":   text("GET /v1/manifest HTTP/1.1\r\nHost: "),
	}
	for kind := range 256 {
		head := []byte{byte(kind), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		all[fmt.Sprintf("gossip message %d", kind)] = io.MultiReader(bytes.NewReader(head), noise(4<<10))
	}
	return all
}

// garbageTCP sends all of it, or as much as the other side will take, and
// listens for a moment to what comes back. A reset is a fine answer.
func garbageTCP(addr string, send io.Reader) error {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.Copy(c, send)
	_ = c.(*net.TCPConn).CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	answer, _ := io.ReadAll(io.LimitReader(c, 1<<20))
	if bytes.Contains(answer, []byte("root:")) {
		return errors.New("it has let out /etc/passwd")
	}
	return nil
}
