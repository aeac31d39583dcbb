package node

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"hffs/cli/control"
)

// PortError says that a port that was asked for is not to be had.
type PortError struct {
	What string // "gossip", "API", …
	Port int
	Err  error
}

func (e *PortError) Error() string {
	how := "cannot be opened"
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		how = "is taken"
	}
	return fmt.Sprintf("port %d for %s %s: %v", e.Port, e.What, how, rootCause(e.Err))
}

func (e *PortError) Unwrap() error { return e.Err }

func rootCause(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// portStep is from one node of a machine to the next: each has a block of its
// own for gossip, door and API, so that nodes that start together do not take
// each other's ports. portTries is how many blocks are tried.
const (
	portStep  = 4
	portTries = 64
)

// doors are the sockets of a node: the door and the API are open, the gossip
// port is kept free of others until memberlist opens it itself.
type doors struct {
	gossip int
	kept   []io.Closer // on the gossip port
	door   net.Listener
	api    net.Listener
}

// release leaves the gossip port to memberlist.
func (d *doors) release() {
	for _, c := range d.kept {
		c.Close()
	}
	d.kept = nil
}

func (d *doors) Close() {
	d.release()
	if d.door != nil {
		d.door.Close()
	}
	if d.api != nil {
		d.api.Close()
	}
}

// openDoors finds ports. A port that the user gave is taken or it is an error; a
// usual one gives way to the next free one, which is said aloud.
func openDoors(cfg Config) (*doors, error) {
	if err := checkBind(cfg.Bind); err != nil {
		return nil, err
	}
	d := &doors{}
	steps := []func() error{d.openAPI(cfg), d.openPeers(cfg)}
	if cfg.APIPort == 0 { // a port that was given comes first, a usual one gives way
		slices.Reverse(steps)
	}
	for _, open := range steps {
		if err := open(); err != nil {
			d.Close()
			return nil, err
		}
	}
	if cfg.Port == 0 && d.gossip != DefaultPort {
		cfg.Say(fmt.Sprintf("port %d is taken, probably by another node of this machine; using %d", DefaultPort, d.gossip))
	}
	return d, nil
}

// checkBind tells an address that is not ours from a port that is taken.
func checkBind(bind string) error {
	if bind == "" {
		return nil
	}
	bad := func(why string) error {
		return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("cannot listen on %q: %s", bind, why), Hint: "--bind takes an address of this machine, such as 192.168.1.7"}
	}
	if _, err := netip.ParseAddr(bind); err != nil {
		return bad("it is not an IP address")
	}
	l, err := net.Listen("tcp", hostPort(bind, 0))
	if err != nil {
		return bad(rootCause(err).Error())
	}
	return l.Close()
}

func (d *doors) openPeers(cfg Config) func() error {
	return func() error {
		if cfg.Port != 0 {
			return d.openPair(cfg.Bind, cfg.Port)
		}
		return d.openFrom(cfg.Bind, DefaultPort)
	}
}

func (d *doors) openAPI(cfg Config) func() error {
	return func() (err error) {
		d.api, err = openAPI(cfg)
		return err
	}
}

func openAPI(cfg Config) (net.Listener, error) {
	if cfg.APIPort != 0 {
		l, err := net.Listen("tcp", hostPort("127.0.0.1", cfg.APIPort))
		if err != nil {
			return nil, &PortError{"the local API", cfg.APIPort, err}
		}
		return l, nil
	}
	var first error
	for i := range portTries {
		port := DefaultAPIPort + i*portStep
		l, err := net.Listen("tcp", hostPort("127.0.0.1", port))
		if err == nil {
			if i > 0 {
				cfg.Say(fmt.Sprintf("port %d is taken, probably by another node of this machine; the local API uses %d", DefaultAPIPort, port))
			}
			return l, nil
		}
		first = firstOf(first, err)
	}
	return nil, &PortError{"the local API", DefaultAPIPort, first}
}

// openPair takes one port for gossip and the next for the door. The door comes
// first: a node holds it for as long as it lives, so another one never touches the
// gossip port in the moment that memberlist is to open it.
func (d *doors) openPair(bind string, port int) error {
	if port >= 65535 {
		return &PortError{"gossip", port, errors.New("the door needs the next port up, and there is none")}
	}
	l, err := net.Listen("tcp", hostPort(bind, port+1))
	if err != nil {
		return &PortError{"the door", port + 1, err}
	}
	if err := d.keep(bind, port); err != nil {
		d.release()
		l.Close()
		return &PortError{"gossip", port, err}
	}
	d.gossip, d.door = port, l
	return nil
}

func (d *doors) openFrom(bind string, port int) (first error) {
	for i := range portTries {
		err := d.openPair(bind, port+i*portStep)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		first = firstOf(first, err)
	}
	return first
}

// keep takes the gossip port, TCP and UDP both.
func (d *doors) keep(bind string, port int) error {
	l, err := net.Listen("tcp", hostPort(bind, port))
	if err != nil {
		return err
	}
	d.kept = append(d.kept, l)
	u, err := net.ListenPacket("udp", hostPort(bind, port))
	if err != nil {
		return err
	}
	d.kept = append(d.kept, u)
	return nil
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
