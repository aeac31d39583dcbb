package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// parts are what the test binary can play.
var parts = map[string]func(args []string) error{
	"serve":   serve,
	"count":   count,
	"html":    html,
	"occupy":  occupy,
	"garbage": garbage,
	"liar":    liar,
	"forger":  forger,
}

// play is what the test binary does on a host of a lab, by the first word of
// its role; the others are that part's arguments.
func play(words []string) int {
	if err := parts[words[0]](words[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serve sends a mebibyte to each that connects.
func serve(args []string) error {
	l, err := listen(args[0])
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = c.Write(make([]byte, 1<<20)) // the other side may have gone
		_ = c.Close()
	}
}

func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		fmt.Println("Listening on", l.Addr())
	}
	return l, err
}

// count counts what a server sends.
func count(args []string) error {
	c, err := net.DialTimeout("tcp", args[0], 2*time.Second)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, c)
	fmt.Println(n)
	return err
}

// html answers everything as a captive portal does.
func html(args []string) error {
	l, err := listen(args[0])
	if err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html><body>Please log in to the network</body></html>")
	}))
}

// occupy holds a port, TCP and UDP, and does nothing with it.
func occupy(args []string) error {
	u, err := net.ListenPacket("udp", args[0])
	if err != nil {
		return err
	}
	defer u.Close()
	if _, err := listen(args[0]); err != nil {
		return err
	}
	select {}
}
