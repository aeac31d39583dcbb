package control

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Server is the node's side of the API, an http.Handler for /control/.
type Server struct {
	mux     *http.ServeMux
	engine  Engine
	explain func(error) *Error
	key     string
}

// NewServer serves engine to whoever shows key. explain turns its errors into
// words.
func NewServer(engine Engine, key string, explain func(error) *Error) *Server {
	s := &Server{mux: http.NewServeMux(), engine: engine, explain: explain, key: key}
	s.mux.HandleFunc("POST "+pathGet, s.get)
	s.mux.HandleFunc("POST "+pathWhere, s.where)
	s.mux.HandleFunc("GET "+pathStatus, s.status)
	s.servePeers()
	s.serveModels()
	s.serveNames()
	s.serveOrders()
	s.mux.HandleFunc("POST "+pathStop, s.stop)
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.key)) != 1 {
		refuse(w, http.StatusUnauthorized, &Error{CodeUsage, "the control key is missing or wrong", "only commands of the user who runs the node may use this API"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// LocalOnly refuses requests that do not name this machine as their host: a web
// page that had its name point here would name itself.
func LocalOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localHost(r.Host) {
			refuse(w, http.StatusForbidden, &Error{CodeUsage, "this port answers for this machine's own names only", ""})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func localHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// get streams progress until the outcome is known. The download stops when the
// asker hangs up.
func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	ask, ok := readAsk(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &lines{w: w, rc: http.NewResponseController(w)}
	got, err := s.engine.Get(r.Context(), ask, func(p Progress) { out.send(Event{Progress: &p}) })
	if err != nil {
		out.send(Event{Error: s.explain(err)})
		return
	}
	out.send(Event{Got: &got})
}

// lines writes events, at most ten a second of those that only tell progress.
type lines struct {
	mu   sync.Mutex // one line at a time
	w    io.Writer
	rc   *http.ResponseController
	last time.Time
	seen string
}

func (l *lines) send(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Progress != nil && e.Progress.Phase == l.seen && time.Since(l.last) < 100*time.Millisecond {
		return
	}
	if e.Progress != nil {
		l.seen, l.last = e.Progress.Phase, time.Now()
	}
	_ = l.rc.SetWriteDeadline(time.Now().Add(30 * time.Second))
	if json.NewEncoder(l.w).Encode(e) == nil {
		_ = l.rc.Flush()
	}
}

func (s *Server) where(w http.ResponseWriter, r *http.Request) {
	ask, ok := readAsk(w, r)
	if !ok {
		return
	}
	answer(w, s, func(ctx context.Context) (Where, error) { return s.engine.Where(ctx, ask) }, r)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	answer(w, s, s.engine.Status, r)
}

func answer[T any](w http.ResponseWriter, s *Server, do func(context.Context) (T, error), r *http.Request) {
	v, err := do(r.Context())
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, s.explain(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func readAsk(w http.ResponseWriter, r *http.Request) (ask Ask, ok bool) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	err := d.Decode(&ask)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, &Error{CodeUsage, "the request is too large", ""})
	case err != nil:
		refuse(w, http.StatusBadRequest, &Error{CodeUsage, "the request is not the JSON that is expected here", "is this command of the same version as the node?"})
	}
	return ask, err == nil
}

func refuse(w http.ResponseWriter, status int, e *Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Event{Error: e})
}
