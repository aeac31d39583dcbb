package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/gossip"
	"hffs/gossip/manifest"
	"hffs/transfer/hub"
	"hffs/transfer/peer"
)

// forger joins a swarm as a true member and offers a file, of which it has
// nothing: what it is asked for it takes from an honest node's door, and hands it
// on but for one lie. It says when it lies. Its arguments are the kind of lie, its
// own address, the gossip address to join, the address of the honest door, and the
// file in the big repo.
func forger(args []string) error {
	f := &forgery{kind: args[0], honest: "http://" + args[3]}
	if err := f.learn(args[4]); err != nil {
		return err
	}
	to, err := url.Parse(f.honest)
	if err != nil {
		return err
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	mux := http.NewServeMux()
	mux.Handle(peer.PathBlobs, proxy) // but not chunks of whatever blob
	mux.Handle(peer.PathMaps, proxy)
	switch f.kind {
	case "flip", "swap":
		proxy.ModifyResponse = f.twist
	case "map":
		mux.HandleFunc(peer.PathMaps+string(f.entry.Blob.Xet), f.tell(f.wrongEntry))
	case "other":
		mux.HandleFunc(peer.PathMaps+string(f.entry.Blob.Xet), f.tell(f.otherFile))
	}
	answers := func(s *gossip.Swarm) http.Handler { mux.Handle("/", s.Handler()); return mux }
	return join(f.kind, args[1], args[2], answers, f.holds())
}

// forgery is one lie about a file.
type forgery struct {
	kind, honest string
	entry        ref.Entry
	m            chunk.Map // of the file, the true one

	once sync.Once // for lies about bytes
}

// learn asks the Hub what the file is, and the honest node for its map.
func (f *forgery) learn(file string) error {
	c, err := hub.New(hub.Config{Endpoints: []string{os.Getenv("HF_ENDPOINT")}})
	if err != nil {
		return err
	}
	defer c.Close()
	repo := ref.Repo{Type: ref.Model, ID: bigRepo}
	if f.entry, err = c.Resolve(context.Background(), ref.File{Repo: repo, Revision: "main", Path: file}); err != nil {
		return err
	}
	b := f.entry.Blob
	resp, err := http.Get(f.honest + peer.PathMaps + string(b.Xet) + "?etag=" + string(b.ETag))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if f.m, err = chunk.DecodeMap(resp.Body, b.Size); err != nil {
		return fmt.Errorf("the honest node's map (%s): %w", resp.Status, err)
	}
	return f.m.Verify(b.Xet, b.Size)
}

func (f *forgery) holds() manifest.Holdings {
	e := f.entry
	return manifest.Holdings{Snapshots: []manifest.Snapshot{{
		Repo: e.Repo, Commit: e.Commit, Files: []manifest.File{{Path: e.Path, Blob: e.Blob}},
	}}}
}

// tell answers who asks for the file's map with one that is none of it.
func (f *forgery) tell(made func() (chunk.Map, error)) http.HandlerFunc {
	lie, err := made()
	return func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(lie.EncodedLen()))
		_ = chunk.EncodeMap(w, lie) // the asker may have gone
		f.lied()
	}
}

// wrongEntry is the file's map but for one chunk's hash.
func (f *forgery) wrongEntry() (chunk.Map, error) {
	var all []chunk.Chunk
	for i := range f.m.Len() {
		all = append(all, f.m.Chunk(i))
	}
	all[len(all)/2].Hash[0] ^= 1
	return chunk.Content(all)
}

// otherFile is the true map of another file of the same size.
func (f *forgery) otherFile() (chunk.Map, error) {
	data := make([]byte, f.entry.Blob.Size)
	_, _ = noise(int64(len(data))).Read(data)
	maps, err := chunk.Scan(context.Background(), bytes.NewReader(data), int64(len(data)), chunk.ScanOptions{}, chunk.Current)
	if err != nil {
		return chunk.Map{}, err
	}
	return maps[0], nil
}

// twist is where bytes of the honest node become the forger's: it changes the
// first span that is asked for.
func (f *forgery) twist(r *http.Response) error {
	if r.Request.URL.Path != peer.PathBlobs+string(f.entry.Blob.ETag) || r.StatusCode != http.StatusPartialContent {
		return nil
	}
	var off, last int64
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/", &off, &last); err != nil {
		return err
	}
	i := f.m.At(off)
	if f.m.Offset(i) != off || i+1 == f.m.Len() || f.m.Offset(i+2) > last+1 {
		return nil // no two whole chunks
	}
	var err error
	f.once.Do(func() { err = f.twistSpan(r, i) })
	return err
}

// twistSpan lies in the first two chunks of a span, which begins with chunk i.
func (f *forgery) twistSpan(r *http.Response, i int) error {
	first, second := make([]byte, f.m.Length(i)), make([]byte, f.m.Length(i+1))
	for _, b := range [][]byte{first, second} {
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return err
		}
	}
	if f.kind == "swap" {
		first, second = second, first
	} else {
		second[len(second)/2] ^= 1
	}
	f.lied()
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(first), bytes.NewReader(second), r.Body), r.Body}
	return nil
}

func (f *forgery) lied() { fmt.Println("Lied:", f.kind) }
