package lab

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"hffs/cache/ref"
	"hffs/gossip"
	"hffs/gossip/manifest"
)

// liar joins a swarm as a true member and then tells nonsense: about what it
// holds, or in what it answers to those who ask for its manifest. Its arguments
// are the kind of nonsense, its own address, and the gossip address to join.
func liar(args []string) error {
	answers := func(s *gossip.Swarm) http.Handler {
		if h := nonsense(args[0]); h != nil {
			return h
		}
		return s.Handler()
	}
	return join(args[0], args[1], args[2], answers, absurd())
}

// join is a member of a swarm to its end: with a door of the given kind behind
// it, at its own address, by way of the gossip address of another.
func join(kind, self, target string, answers func(*gossip.Swarm) http.Handler, holds manifest.Holdings) error {
	door, err := net.Listen("tcp", net.JoinHostPort(self, "0"))
	if err != nil {
		return err
	}
	s, err := gossip.New(gossip.Config{
		NodeID: hex.EncodeToString([]byte((kind + "--------")[:8])), Name: "liar-" + kind, Bind: self,
		DoorPort: door.Addr().(*net.TCPAddr).Port,
	})
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(door, answers(s)) }() // ends with the process
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.SetAddr(netip.MustParseAddr(self))
	select {
	case <-s.Ready():
	case err := <-ended:
		return errors.Join(err, errors.New("it ended before it was ready"))
	}
	if err := s.Join(ctx, "", []netip.AddrPort{netip.MustParseAddrPort(target)}); err != nil {
		return err
	}
	s.Hold(holds)
	fmt.Println("Lying")
	return <-ended
}

// absurd is what no cache can hold.
func absurd() manifest.Holdings {
	etag := ref.ETag(strings.Repeat("a", 64))
	commit := ref.Commit(strings.Repeat("b", 40))
	var files []manifest.File
	for _, path := range []string{"../../../etc/passwd", "/etc/passwd", "a\x1b[2Jb", strings.Repeat("x/", 4000), ""} {
		files = append(files, manifest.File{Path: path, Blob: ref.Blob{ETag: etag, Size: 1 << 62}})
	}
	repos := []ref.Repo{{Type: ref.Model, ID: "../../../root"}, {Type: ref.Model, ID: strings.Repeat("n", 9000)}, {Type: ref.Model, ID: "acme/tiny"}}
	var h manifest.Holdings
	for _, repo := range repos {
		h.Snapshots = append(h.Snapshots, manifest.Snapshot{Repo: repo, Commit: commit, Files: files})
		h.Refs = append(h.Refs, manifest.Ref{Repo: repo, Name: "../main", Commit: commit, Learnt: time.Now()})
	}
	return h
}

// nonsense is what the liar's door answers to everything; nil leaves it to the
// true one, with absurd holdings.
func nonsense(kind string) http.Handler {
	send := func(body func() io.Reader) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, body()) })
	}
	switch kind {
	case "noise":
		return send(func() io.Reader { return noise(64 << 10) })
	case "endless":
		return send(func() io.Reader { return noise(1 << 50) })
	case "bomb":
		packed := bomb()
		return send(func() io.Reader { return bytes.NewReader(packed) })
	case "silent":
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}
	return nil
}

// bomb is two gigabytes in a few kilobytes, behind the head of a manifest.
func bomb() []byte {
	var out bytes.Buffer
	out.Write([]byte{1, 1}) // format, kind: see gossip/manifest/message.go
	w, err := zstd.NewWriter(&out)
	if err != nil {
		panic(err) // only for bad options
	}
	zeroes := make([]byte, 1<<20)
	for range 2 << 10 {
		_, _ = w.Write(zeroes) // to memory
	}
	_ = w.Close()
	return out.Bytes()
}
