package endpoint

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
)

// Config says what the endpoint serves from, and how it speaks.
type Config struct {
	// Library has the files and what is known of them.
	Library Library
	// Explain puts errors of the library into the Hub's words; nil, or an answer
	// without a status, makes them a 502.
	Explain func(error) Failure
	// Log gets one debug line per request; nil discards them.
	Log *slog.Logger
}

// endpoint is the handler. It wants addresses as they came: a ServeMux in front of
// it would answer those with double slashes by a redirect.
type endpoint struct {
	lib     Library
	explain func(error) Failure
	log     *slog.Logger
	pins    *pins
	placing chan struct{} // as many HEADs wait for their file at a time
}

// New is the Hub's protocol as a handler. Writes that come from web pages of other
// sites are refused; which names of this machine it answers to is its owner's to
// check.
func New(cfg Config) http.Handler {
	e := &endpoint{lib: cfg.Library, explain: cfg.Explain, log: cfg.Log, pins: newPins(time.Now), placing: make(chan struct{}, maxPlacing)}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	return guard(e)
}

// An exchange is one request and its answer.
type exchange struct {
	*endpoint
	w *answer
	r *http.Request
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{e, &answer{ResponseWriter: w}, r.WithContext(caller.With(r.Context(), tokenOf(r)))}
	began := time.Now()
	defer func() { // also when the answer is broken off
		e.log.Debug("asked as the Hub", "method", r.Method, "path", r.URL.Path, "agent", r.UserAgent(),
			"status", x.w.status, "bytes", x.w.sent, "took", time.Since(began))
	}()
	a, err := parse(r.URL.EscapedPath())
	if err != nil {
		x.fail(Failure{Status: http.StatusBadRequest, Message: "Bad address: " + err.Error()})
		return
	}
	if isViewer(r) {
		a = ask{verb: askViewer}
	}
	if a.verb != askPaths {
		x.takeTime()
	}
	x.route(a)
}

// takeTime lifts the server's limits on how long a request may take: downloads,
// uploads and waiting HEADs outlast them, and a read limit that strikes while an
// answer is being written ends the request's context.
func (x *exchange) takeTime() {
	rc := http.NewResponseController(x.w)
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Time{})
}

func (x *exchange) route(a ask) {
	reads := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
	switch {
	case a.verb == askTelemetry:
		x.text(http.StatusOK, "")
	case a.verb == askHarnesses || a.verb == askViewer:
		x.fail(Failure{Status: http.StatusNotFound, Message: "Not Found"})
	case x.r.Method == http.MethodOptions:
		x.w.WriteHeader(http.StatusNoContent) // no word of who else may read
	case x.r.Method == http.MethodConnect || x.r.Method == http.MethodTrace:
		x.fail(Failure{Status: http.StatusMethodNotAllowed, Message: "Method Not Allowed"})
	case a.verb == askPaths && x.r.Method == http.MethodPost:
		x.paths(a)
	case a.verb != "" && a.verb != askPaths && reads:
		x.read(a)
	default:
		x.forward()
	}
}

func (x *exchange) read(a ask) {
	switch a.verb {
	case askInfo, askRevision:
		x.info(a)
	case askTree:
		x.tree(a)
	case askRefs:
		x.refs(a)
	case askAuth:
		x.auth(a)
	case askResolve, askResolveCache:
		x.resolve(a)
	case askRaw:
		x.raw(a)
	case askManifest:
		x.manifest(a)
	}
}

// isAPI: errors are JSON there, and text elsewhere.
func (x *exchange) isAPI() bool {
	path := strings.TrimLeft(x.r.URL.Path, "/")
	return strings.HasPrefix(path, "v2/") || strings.HasPrefix(path, "api/") && !strings.HasPrefix(path, "api/"+askResolveCache+"/")
}

func (x *exchange) fromHub() bool { return strings.Contains(x.r.UserAgent(), agentHub) }

// isViewer: the datasets library puts "datasets-server." before the host that it
// was given, and some systems find this machine under that name too. Nobody here
// can answer; it does without when told so at once.
func isViewer(r *http.Request) bool {
	return strings.HasPrefix(r.Host, "datasets-server.") ||
		r.URL.Query().Has("dataset") && !strings.Contains(strings.Trim(r.URL.Path, "/"), "/")
}

// tokenOf is the token that came with the request; none makes it anonymous.
func tokenOf(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// at tries the ways to read an address until one names a revision that exists.
func (x *exchange) at(repo ref.Repo, ways []place, try func(place) error) error {
	var first error
	for _, p := range ways {
		err := error(noRevision(p.revision))
		if ref.CheckRevision(p.revision) == nil {
			err = try(p)
		}
		if err == nil || x.said(err).Code != codeRevisionNotFound {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// answer counts what goes out, for the log.
type answer struct {
	http.ResponseWriter
	status int
	sent   int64
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.sent += int64(n)
	return n, err
}

// ReadFrom keeps the short way from a file to a socket open.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(a.ResponseWriter, r)
	a.sent += n
	return n, err
}

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
