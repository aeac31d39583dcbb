package endpoint

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
)

const (
	main1 = ref.Commit("1111111111111111111111111111111111111111")
	main2 = ref.Commit("2222222222222222222222222222222222222222")
)

var (
	gpt2  = ref.Repo{Type: ref.Model, ID: "gpt2"}
	model = ref.Repo{Type: ref.Model, ID: "org/model"}
	data  = ref.Repo{Type: ref.Dataset, ID: "org/data"}
	space = ref.Repo{Type: ref.Space, ID: "org/app"}

	agentPython = http.Header{"User-Agent": {"unknown/None; hf_hub/1.29.0; python/3.12.3"}}
)

// Errors of the library in tests, and what they mean.
var (
	errNoRevision = errors.New("no such revision")
	errNoEntry    = errors.New("no such file")
	errHubAway    = errors.New("the Hub is out of reach")
)

func explain(err error) Failure {
	switch {
	case errors.Is(err, errNoRevision):
		return Failure{Status: 404, Code: "RevisionNotFound", Message: err.Error()}
	case errors.Is(err, errNoEntry):
		return Failure{Status: 404, Code: "EntryNotFound", Message: err.Error()}
	case errors.Is(err, errHubAway):
		return Failure{Status: 503, Message: err.Error()}
	}
	return Failure{}
}

// shelf is a library in memory.
type shelf struct {
	mu       sync.Mutex // guards all of it
	branches map[string]ref.Commit
	files    map[ref.Commit]map[string][]byte
	partial  bool                // lists are not whole
	coming   func(n int) Content // stands for a file that is not here yet
	fault    error               // what every question ends with
	open     error
	may      error
	info     string
	placed   func(ctx context.Context) bool
	hub      http.HandlerFunc // the Hub; nil while it is out of reach
	dir      string
	calls    []string
	tokens   []string
	marks    map[string]bool
}

func newShelf(t *testing.T) *shelf {
	return &shelf{
		branches: map[string]ref.Commit{"main": main1},
		files: map[ref.Commit]map[string][]byte{main1: {
			"config.json": []byte(`{"a": 1}`), "model.safetensors": bytes.Repeat([]byte("0123456789"), 100),
			"onnx/model.onnx": []byte("onnx"), "empty.txt": {},
		}},
		dir: t.TempDir(),
	}
}

func (s *shelf) call(ctx context.Context, format string, args ...any) error {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	s.tokens = append(s.tokens, caller.Token(ctx, "nobody said"))
	return s.fault
}

func (s *shelf) did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *shelf) commit(revision string) (ref.Commit, error) {
	if c, ok := s.branches[revision]; ok {
		return c, nil
	}
	if _, ok := s.files[ref.Commit(revision)]; ok {
		return ref.Commit(revision), nil
	}
	return "", errNoRevision
}

func (s *shelf) Commit(ctx context.Context, repo ref.Repo, revision string) (ref.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "commit %s@%s", repo, revision); err != nil {
		return "", err
	}
	return s.commit(revision)
}

func (s *shelf) Entry(ctx context.Context, f ref.File) (ref.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "entry %s", f); err != nil {
		return ref.Entry{}, err
	}
	c, err := s.commit(f.Revision)
	if err != nil {
		return ref.Entry{}, err
	}
	b, ok := s.files[c][f.Path]
	if !ok {
		return ref.Entry{}, errNoEntry
	}
	return ref.Entry{Repo: f.Repo, Commit: c, Path: f.Path, Blob: blobOf(f.Path, b)}, nil
}

func (s *shelf) List(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]ref.Listed, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "list %s@%s", repo, commit); err != nil {
		return nil, false, err
	}
	var list []ref.Listed
	for _, p := range slices.Sorted(maps.Keys(s.files[commit])) {
		list = append(list, ref.Listed{Path: p, Blob: blobOf(p, s.files[commit][p])})
	}
	slices.Reverse(list) // nobody promised an order
	return list, !s.partial, nil
}

func (s *shelf) Info(ctx context.Context, repo ref.Repo, revision string, _ url.Values) (json.RawMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "info %s@%s", repo, revision); err != nil {
		return nil, err
	}
	c, err := s.commit(revision)
	if s.info != "" || err != nil {
		return json.RawMessage(s.info), err
	}
	return json.RawMessage(fmt.Sprintf(`{"id":%q,"sha":%q,"lastModified":"2026-01-02T03:04:05.000Z"}`, repo.ID, c)), nil
}

func (s *shelf) May(ctx context.Context, repo ref.Repo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.call(ctx, "may %s", repo)
	return s.may
}

func (s *shelf) Place(ctx context.Context, e ref.Entry) bool {
	s.mu.Lock()
	_ = s.call(ctx, "place %s", e)
	placed := s.placed
	s.mu.Unlock()
	return placed != nil && placed(ctx)
}

func (s *shelf) Open(ctx context.Context, e ref.Entry) (Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.call(ctx, "open %s", e)
	b := s.files[e.Commit][e.Path]
	switch {
	case s.open != nil:
		return nil, s.open
	case s.coming != nil:
		return s.coming(len(b)), nil
	}
	f, err := os.CreateTemp(s.dir, "")
	if err == nil {
		_, err = f.Write(b)
	}
	return here{f}, err
}

func (s *shelf) Forward(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	_ = s.call(r.Context(), "forward %s %s", r.Method, r.URL.RequestURI())
	hub := s.hub
	s.mu.Unlock()
	if hub == nil {
		http.Error(w, "the Hub is out of reach", http.StatusBadGateway)
		return
	}
	hub(w, r)
}

// here is content that is all here.
type here struct{ f *os.File }

func (h here) File() *os.File { return h.f }
func (h here) Close() error   { return h.f.Close() }
func (h here) Send(context.Context, io.Writer, int64, int64) (int64, error) {
	return 0, errors.New("the whole file is here")
}

// stream is content on its way.
type stream struct {
	send   func(ctx context.Context, w io.Writer, off, n int64) (int64, error)
	closed chan struct{}
}

func (s *stream) File() *os.File { return nil }
func (s *stream) Close() error   { close(s.closed); return nil }
func (s *stream) Send(ctx context.Context, w io.Writer, off, n int64) (int64, error) {
	return s.send(ctx, w, off, n)
}

// blobOf makes large files of those that end as such do.
func blobOf(name string, b []byte) ref.Blob {
	if strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".onnx") || strings.HasSuffix(name, ".gguf") {
		sum := sha256.Sum256(b)
		return ref.Blob{ETag: ref.ETag(hex.EncodeToString(sum[:])), Size: int64(len(b)), Xet: ref.XetHash(strings.Repeat("ab", 32))}
	}
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
	return ref.Blob{ETag: ref.ETag(hex.EncodeToString(sum[:])), Size: int64(len(b))}
}

// A door is the endpoint of a shelf, served.
type door struct {
	*shelf
	t   *testing.T
	url string
}

func serve(t *testing.T, s *shelf) door {
	srv := httptest.NewServer(New(Config{Library: s, Explain: explain}))
	t.Cleanup(srv.Close)
	return door{s, t, srv.URL}
}

func newDoor(t *testing.T) door { return serve(t, newShelf(t)) }

// said is an answer with its body read.
type said struct {
	*http.Response
	body string
	err  error // of the body
}

func (d door) ask(method, path string, h http.Header, body string) said {
	req, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
	require.NoError(d.t, err)
	for name, v := range h {
		req.Header[name] = v
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	require.NoError(d.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return said{resp, string(b), err}
}

func (d door) get(path string, h ...http.Header) said  { return d.ask("GET", path, first(h), "") }
func (d door) head(path string, h ...http.Header) said { return d.ask("HEAD", path, first(h), "") }

func (d door) json(path string) any {
	got := d.get(path)
	require.Equal(d.t, 200, got.StatusCode, "%s: %s", path, got.body)
	require.Equal(d.t, typeJSON, got.Header.Get("Content-Type"))
	var v any
	require.NoError(d.t, json.Unmarshal([]byte(got.body), &v))
	return v
}

func first(h []http.Header) http.Header {
	if len(h) > 0 {
		return h[0]
	}
	return nil
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}
