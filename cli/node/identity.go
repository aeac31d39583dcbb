package node

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// identity is the node's lasting id: 8 bytes as hex, made of a random seed in its
// state folder and of the machine's network cards, so that the copy of a whole
// machine is somebody else.
func identity(dir string) (string, error) {
	seed, err := keptSeed(filepath.Join(dir, "node-id"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte("hffs node v1\n" + seed + "\n" + cards()))
	return hex.EncodeToString(sum[:8]), nil
}

func keptSeed(path string) (string, error) {
	if b, err := os.ReadFile(path); err == nil {
		if seed := strings.TrimSpace(string(b)); validID(seed) {
			return seed, nil
		}
	}
	seed := newID()
	if err := os.WriteFile(path, []byte(seed+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep node id: %w", err)
	}
	return seed, nil
}

// newID is an id that nobody else has.
func newID() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

// cards are the hardware addresses of the machine, in order.
func cards() string {
	links, _ := net.Interfaces()
	var all []string
	for _, l := range links {
		if len(l.HardwareAddr) > 0 && l.Flags&net.FlagLoopback == 0 {
			all = append(all, l.HardwareAddr.String())
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

func validID(id string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && len(raw) == 8
}

// label is what people call the node: the host's name with four digits of the
// id, since several machines may be called "ubuntu".
func label(name, id string) string {
	if name == "" {
		name, _ = os.Hostname()
		name, _, _ = strings.Cut(name, ".")
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		}
		return -1
	}, name)
	if clean == "" {
		clean = "node"
	}
	return clean[:min(len(clean), 24)] + "-" + id[:4]
}
