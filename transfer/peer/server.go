package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/pace"
	"hffs/transfer/source"
)

// Limits of the door. A request that finds no place is told to come back, so
// that a crowd slows down instead of piling up.
const (
	maxRequests = 256
	perAsker    = 32 // of them for one address
	// slowest is the rate below which a reader is cut off, in bytes per second,
	// after the grace: it would hold a place for ever.
	slowest = 16 << 10
	grace   = time.Minute
)

// Held is a blob that may be handed out: open, checked, unchanged.
type Held interface {
	File() *os.File
	Size() int64
	Map() (chunk.Map, error)
	Close() error
}

// Part is an open blob of which some is there.
type Part interface {
	Held
	// Has tells whether all of a range of bytes is there.
	Has(off, n int64) bool
}

// Store is where the door takes blobs from. Its errors wrap source.ErrGone or
// source.ErrChanged.
type Store interface {
	Held(etag ref.ETag) (Held, error)
	// Have is how many bytes of a blob that is being fetched are here.
	Have(etag ref.ETag) (have, size int64, ok bool)
	// Part is a blob that is being fetched.
	Part(etag ref.ETag) (Part, error)
	// Feed is what is told of a blob that is being fetched.
	Feed(etag ref.ETag) (Feed, bool)
	// Met is told of a node that fetches a blob, with the address of its door.
	Met(etag ref.ETag, id, name string, door netip.AddrPort)
	// ContentMap is the content-defined map of a blob, proven by its Xet hash. It
	// may be made only now, from the blob's bytes.
	ContentMap(ctx context.Context, b ref.Blob) (chunk.Map, error)
	// HasChunks says which chunks are here; a hint, since blobs come and go.
	HasChunks(hashes []chunk.Hash) []bool
	// ReadChunk reads one into buf and checks it.
	ReadChunk(h chunk.Hash, buf []byte) ([]byte, error)
}

// Server is the door: an http.Handler for everything below [PathBlobs]. It
// keeps count of what it sent.
type Server struct {
	Store Store
	Log   *slog.Logger
	// Sent is told of the bytes of each answered request; may be nil.
	Sent func(etag ref.ETag, n int64)

	// Served is told what one node was sent of a blob, when that is over; may be nil.
	Served func(Served)

	// Limit bounds the rate of all blobs and chunks that are sent; nil is no bound.
	// With a bound the bytes go through this process instead of through sendfile.
	Limit *pace.Limit

	places chan struct{}
	feeds  chan struct{}
	mux    *http.ServeMux

	ledger ledger

	mu     sync.Mutex // guards askers
	askers map[string]*asker
}

// NewServer makes a door onto a store.
func NewServer(store Store, log *slog.Logger) *Server {
	s := &Server{Store: store, Log: log, places: make(chan struct{}, maxRequests), feeds: make(chan struct{}, maxFeeds), mux: http.NewServeMux(), askers: map[string]*asker{}, ledger: ledger{rows: map[servedRow]*row{}}}
	s.mux.HandleFunc("GET "+PathBlobs, s.blob)
	s.mux.HandleFunc("GET "+PathMaps+"{xet}", s.contentMap)
	s.mux.HandleFunc("GET "+PathFeeds+"{etag}", s.feed)
	s.mux.HandleFunc("POST "+pathHave, s.chunksHave)
	s.mux.HandleFunc("POST "+PathChunks, s.chunks)
	s.mux.HandleFunc("POST "+pathBatchHave, s.batchHave)
	s.mux.HandleFunc("POST "+PathBatch, s.batch)
	s.mux.HandleFunc("/", readOnly)
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Log != nil && s.Log.Enabled(r.Context(), slog.LevelDebug) {
		s.Log.Debug("asked by a peer", "method", r.Method, "path", r.URL.Path, "range", r.Header.Get("Range"), "from", r.RemoteAddr)
	}
	if strings.HasPrefix(r.URL.Path, PathFeeds) { // has a bound of its own: it lasts
		s.mux.ServeHTTP(w, r)
		return
	}
	leave, ok := s.enter(r)
	if !ok {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "too many requests at once")
		return
	}
	defer leave()
	s.mux.ServeHTTP(w, r)
}

// enter takes a place for a request, and one of those that its sender may have.
func (s *Server) enter(r *http.Request) (leave func(), ok bool) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.askers[host]
	if a == nil {
		a = newAsker()
	}
	if a.requests >= perAsker {
		return nil, false
	}
	select {
	case s.places <- struct{}{}:
	default:
		return nil, false
	}
	a.requests++
	s.askers[host] = a
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if a.requests--; a.requests == 0 {
			delete(s.askers, host)
		}
		<-s.places
	}, true
}

// readOnly says no to whatever would change something.
func readOnly(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	refuse(w, http.StatusMethodNotAllowed, "this door only reads")
}

func (s *Server) blob(w http.ResponseWriter, r *http.Request) {
	name, isMap := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, PathBlobs), "/map")
	etag, err := ref.ParseETag(name)
	if err != nil || string(etag) != name {
		refuse(w, http.StatusBadRequest, "a blob is named by its etag, 40 or 64 hex digits")
		return
	}
	held, err := s.Store.Held(etag)
	if errors.Is(err, source.ErrGone) && r.Header.Get("Range") != "" && !isMap {
		if part, ok := s.part(etag, r); ok {
			held, err = part, nil
		}
	}
	if err != nil {
		s.refuseHeld(w, r, etag, err)
		return
	}
	defer held.Close()
	if !isMap {
		s.serveBlob(w, r, etag, held)
		return
	}
	m, err := held.Map()
	if err != nil {
		refuse(w, http.StatusNotFound, "its chunk hashes are not known")
		return
	}
	s.sendMap(w, r, m)
}

// part opens a blob that is being fetched, if what is asked for is there.
func (s *Server) part(etag ref.ETag, r *http.Request) (Part, bool) {
	var first, last int64
	if n, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n != 2 || err != nil || first < 0 || last < first {
		return nil, false
	}
	p, err := s.Store.Part(etag)
	if err != nil {
		return nil, false
	}
	if last >= p.Size() || !p.Has(first, last-first+1) {
		_ = p.Close()
		return nil, false
	}
	return p, true
}

func (s *Server) contentMap(w http.ResponseWriter, r *http.Request) {
	xet, err := ref.ParseXetHash(r.PathValue("xet"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "a map is named by its Xet hash, 64 hex digits")
		return
	}
	etag, err := ref.ParseETag(r.URL.Query().Get("etag"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "the blob's etag is missing")
		return
	}
	m, err := s.Store.ContentMap(r.Context(), ref.Blob{ETag: etag, Xet: xet})
	if making, ok := errors.AsType[source.Making](err); ok {
		w.Header().Set(HeaderMaking, formatMaking(making))
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, making.Error())
		return
	}
	if err != nil {
		refuse(w, http.StatusNotFound, source.ErrGone.Error())
		return
	}
	s.sendMap(w, r, m)
}

func (s *Server) refuseHeld(w http.ResponseWriter, r *http.Request, etag ref.ETag, err error) {
	if r.Method == http.MethodHead {
		s.meet(etag, r)
	}
	if have, size, ok := s.Store.Have(etag); ok {
		w.Header().Set(HeaderHave, fmt.Sprintf("%d %d", have, size))
	}
	switch {
	case errors.Is(err, source.ErrChanged):
		refuse(w, http.StatusGone, source.ErrChanged.Error())
	case errors.Is(err, source.ErrGone):
		refuse(w, http.StatusNotFound, source.ErrGone.Error())
	default:
		s.Log.Warn("blob cannot be served", "etag", etag, "err", err)
		refuse(w, http.StatusInternalServerError, "the blob cannot be read")
	}
}

func (s *Server) sendMap(w http.ResponseWriter, r *http.Request, m chunk.Map) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(m.EncodedLen()))
	if r.Method == http.MethodHead {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(grace + time.Duration(m.EncodedLen()/slowest)*time.Second))
	if err := chunk.EncodeMap(w, m); err != nil {
		s.Log.Debug("map was not sent", "err", err)
	}
}

// serveBlob leaves ranges to net/http: it clips, answers 206 and 416, and hands
// the file to sendfile, since what it copies from is an *os.File.
func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request, etag ref.ETag, held Held) {
	if strings.Contains(r.Header.Get("Range"), ",") {
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "one range a request")
		return
	}
	if r.Method == http.MethodGet {
		limit := grace + time.Duration(held.Size()/slowest)*time.Second
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+string(etag)+`"`)
	count := s.count(w, r)
	http.ServeContent(count, r, "", time.Time{}, held.File())
	s.served(r, etag, count.n)
	if s.Sent != nil && count.n > 0 {
		s.Sent(etag, count.n)
	}
}

func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set(HeaderReason, reason)
	http.Error(w, reason, status)
}
