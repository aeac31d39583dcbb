package lab

import (
	"bytes"
	"fmt"
	"syscall"
)

func init() { parts["sniff"] = sniff }

// sniff reads whatever passes any device of the host and says which of its words it
// has seen there.
func sniff(words []string) error {
	const (
		everything = 0x0300 // ETH_P_ALL as it is on the wire
		room       = 64 << 20
	)
	s, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, everything)
	if err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, room); err != nil {
		return err
	}
	fmt.Println("Listening")
	frame, seen := make([]byte, 1<<17), map[string]bool{}
	for {
		n, _, err := syscall.Recvfrom(s, frame, 0)
		if err != nil {
			return err
		}
		for _, w := range words {
			if !seen[w] && bytes.Contains(frame[:n], []byte(w)) {
				seen[w] = true
				fmt.Println("Seen:", w)
			}
		}
	}
}

// sniffed starts a listener on all cables of a lab.
func (l *Lab) sniffed(words string) *Process {
	l.t.Helper()
	sw := &Host{Name: "switch", Dir: l.hub.Dir, lab: l, space: l.sw}
	return act(sw, "sniff "+words)
}
