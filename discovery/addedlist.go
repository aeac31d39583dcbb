package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// AddedFile is what the list of added peers is called in the state folder that all
// nodes of a user share.
const AddedFile = "added-peers.json"

const (
	lockPatience = 5 * time.Second
	lockRetry    = 20 * time.Millisecond
)

// AddedList is the file of the peers that the user has added for good:
//
//	{"version": 1, "peers": ["10.0.0.7:7766", "box.example:7766"]}
//
// Each is a host and the port of its gossip. Commands change the file, whole and under
// a lock; nodes watch it (see [Added]).
type AddedList struct {
	// Path is the file. It need not be there; its folder is made when it is needed.
	Path string
}

// addedPeers is the whole file.
type addedPeers struct {
	Version int      `json:"version"`
	Peers   []string `json:"peers"`
}

// Canonical is the one way to write a peer that can be named in several: HOST:PORT,
// the name in lower case, an address in its shortest form.
func Canonical(text string, defaultPort int) (string, error) {
	h, err := parseHost(text, defaultPort)
	if err != nil {
		return "", fmt.Errorf("bad peer %q: %w", text, err)
	}
	return h.canonical().String(), nil
}

func (h host) canonical() host {
	if a, err := netip.ParseAddr(h.name); err == nil {
		return host{a.Unmap().String(), h.port}
	}
	return host{strings.TrimSuffix(strings.ToLower(h.name), "."), h.port}
}

// Peers are those in the file, in the order in which they were added. A file that is
// not there has none.
func (l AddedList) Peers() ([]string, error) {
	p, err := l.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return p.Peers, err
}

func (l AddedList) read() (p addedPeers, err error) {
	f, err := os.Open(l.Path)
	if err != nil {
		return p, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return p, fmt.Errorf("read %s: %w", l.Path, err)
	}
	if p, err = parseAdded(b); err != nil {
		return p, fmt.Errorf("read %s: %w", l.Path, err)
	}
	return p, nil
}

// parseAdded reads the file, which a person may have edited: what is no peer is passed
// over, and what is there twice counts once.
func parseAdded(b []byte) (addedPeers, error) {
	var p, out addedPeers
	if len(b) > maxFile {
		return out, errors.New("it is longer than any such file")
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return out, err
	}
	if p.Version != 1 {
		return out, fmt.Errorf("version %d", p.Version)
	}
	out.Version = 1
	for _, text := range p.Peers {
		const none = 0 // a port must be given
		c, err := Canonical(text, none)
		if err == nil && !slices.Contains(out.Peers, c) && len(out.Peers) < maxHosts {
			out.Peers = append(out.Peers, c)
		}
	}
	return out, nil
}

// ErrFull says that the list takes no more.
var ErrFull = fmt.Errorf("there are %d added peers, and no more are taken", maxHosts)

// Add puts a peer on the list; it is not fresh when it was there.
func (l AddedList) Add(peer string) (fresh bool, err error) {
	err = l.change(func(peers []string) ([]string, error) {
		switch {
		case slices.Contains(peers, peer):
			return peers, nil
		case len(peers) >= maxHosts:
			return nil, ErrFull
		}
		fresh = true
		return append(peers, peer), nil
	})
	return fresh, err
}

// Remove takes a peer off the list, and tells whether it was there.
func (l AddedList) Remove(peer string) (was bool, err error) {
	err = l.change(func(peers []string) ([]string, error) {
		was = slices.Contains(peers, peer)
		return slices.DeleteFunc(peers, func(p string) bool { return p == peer }), nil
	})
	return was, err
}

// change lets f have another list, one command at a time. A damaged file is not
// overwritten: it may have been written by hand, and a comma be missing.
func (l AddedList) change(f func([]string) ([]string, error)) error {
	if err := os.MkdirAll(filepath.Dir(l.Path), 0o700); err != nil {
		return fmt.Errorf("keep added peers: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	lock := flock.New(l.Path + ".lock")
	defer lock.Close()
	switch _, err := lock.TryLockContext(ctx, lockRetry); {
	case ctx.Err() != nil:
		return fmt.Errorf("keep added peers: another command holds %s.lock", l.Path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("keep added peers: %w", err)
	} // on a disk without locks two commands of the same moment may lose a line
	before, err := l.Peers()
	if err != nil {
		return err
	}
	after, err := f(slices.Clone(before))
	if err != nil || slices.Equal(before, after) {
		return err
	}
	b, err := json.MarshalIndent(addedPeers{1, append([]string{}, after...)}, "", " ")
	if err != nil {
		return err
	}
	if err := replaceFile(l.Path, append(b, '\n')); err != nil {
		return fmt.Errorf("keep added peers: %w", err)
	}
	return nil
}

// On picks what a person means by host and, where it is not 0, by port among the
// listed: without a port the one on the usual port, else the only one.
func (l AddedList) On(hostName string, port, usual int) (all []string, err error) {
	peers, err := l.Peers()
	if err != nil {
		return nil, err
	}
	want, err := Canonical(bracketed(hostName), cmp.Or(port, usual))
	if err != nil {
		return nil, err
	}
	if slices.Contains(peers, want) || port != 0 {
		return slices.DeleteFunc(peers, func(p string) bool { return p != want }), nil
	}
	name, _, _ := net.SplitHostPort(want)
	return slices.DeleteFunc(peers, func(p string) bool {
		n, _, _ := net.SplitHostPort(p)
		return n != name
	}), nil
}

// bracketed has an IPv6 address not be taken for a host with a port.
func bracketed(name string) string {
	if strings.Contains(name, ":") && !strings.HasPrefix(name, "[") {
		return "[" + name + "]"
	}
	return name
}
