package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
	"hffs/transfer/hub/standin"
)

const (
	commitA = ref.Commit("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	commitB = ref.Commit("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

var (
	demo       = ref.Repo{Type: ref.Model, ID: "org/demo"}
	errAway    = errors.New("the Hub is away")
	errRefused = errors.New("the Hub says no")
)

func blob(n int) ref.Blob {
	return ref.Blob{ETag: ref.ETag(fmt.Sprintf("%064x", n)), Size: int64(n)}
}

func listed(path string, n int) ref.Listed { return ref.Listed{Path: path, Blob: blob(n)} }

// webHub asks a Hub over HTTP.
type webHub struct{ base string }

func (h webHub) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+path, nil)
	if err != nil {
		return err
	}
	if token := caller.Token(ctx, ""); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %d", errRefused, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (h webHub) Info(ctx context.Context, repo ref.Repo, revision string, query url.Values) (ref.Commit, json.RawMessage, error) {
	var info json.RawMessage
	err := h.get(ctx, "/api/"+repo.Type.Plural()+"/"+repo.ID+"/revision/"+url.PathEscape(revision)+"?"+query.Encode(), &info)
	if err != nil {
		return "", nil, err
	}
	var said struct{ SHA ref.Commit }
	return said.SHA, info, json.Unmarshal(info, &said)
}

func (h webHub) Tree(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]ref.Listed, error) {
	var tree []struct {
		Type, Path, XetHash string
		OID                 ref.ETag
		Size                int64
		LFS                 *struct{ OID ref.ETag }
	}
	err := h.get(ctx, "/api/"+repo.Type.Plural()+"/"+repo.ID+"/tree/"+string(commit)+"?recursive=true", &tree)
	var files []ref.Listed
	for _, f := range tree {
		b := ref.Blob{ETag: f.OID, Size: f.Size, Xet: ref.XetHash(f.XetHash)}
		if f.LFS != nil {
			b.ETag = f.LFS.OID
		}
		if f.Type == "file" {
			files = append(files, ref.Listed{Path: f.Path, Blob: b})
		}
	}
	return files, err
}

// stub is a Hub that answers as it is told, by functions that may be nil.
type stub struct {
	info func(ctx context.Context, revision string) (ref.Commit, json.RawMessage, error)
	tree func(ctx context.Context, commit ref.Commit) ([]ref.Listed, error)

	mu    sync.Mutex // guards asked
	asked []string
}

func (s *stub) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
}

func (s *stub) Info(ctx context.Context, _ ref.Repo, revision string, query url.Values) (ref.Commit, json.RawMessage, error) {
	s.note("info " + revision + " " + query.Encode())
	if s.info == nil {
		return "", nil, errAway
	}
	return s.info(ctx, revision)
}

func (s *stub) Tree(ctx context.Context, _ ref.Repo, commit ref.Commit) ([]ref.Listed, error) {
	s.note("tree " + string(commit))
	if s.tree == nil {
		return nil, errAway
	}
	return s.tree(ctx, commit)
}

// silent is a Hub that never answers.
func silent() *stub {
	return &stub{
		info: func(ctx context.Context, _ string) (ref.Commit, json.RawMessage, error) {
			<-ctx.Done()
			return "", nil, errAway
		},
		tree: func(ctx context.Context, _ ref.Commit) ([]ref.Listed, error) {
			<-ctx.Done()
			return nil, errAway
		},
	}
}

// neighbours say what they are told to.
type neighbours struct {
	claims []Claim
	told   []Told
}

func (n *neighbours) Revisions(context.Context, ref.Repo, string) ([]Claim, error) {
	return n.claims, nil
}

func (n *neighbours) Lists(context.Context, ref.Repo, ref.Commit) ([]Told, error) {
	return n.told, nil
}

// journal is a log that can be read.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) lines(level string) (lines []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		if strings.Contains(line, "level="+level) {
			lines = append(lines, line)
		}
	}
	return lines
}

type bench struct {
	*Catalog
	store *cache.Cache
	log   *journal
}

// newBench is a catalog over a cache of its own.
func newBench(t *testing.T, h Hub, s Swarm) *bench {
	t.Helper()
	base := t.TempDir()
	store, err := cache.Open(cache.Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "hffs")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	b := &bench{store: store, log: &journal{}}
	b.Catalog = New(Config{
		Hub: h, Store: store, Swarm: s, Refused: func(err error) bool { return errors.Is(err, errRefused) },
		Log: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	return b
}

// realHub is the stand-in with a repo on it, and how to end it.
func realHub(t *testing.T) (h *standin.Hub, asked webHub, commit ref.Commit, stop func()) {
	t.Helper()
	h = standin.New()
	commit = h.Add(demo, "", map[string]standin.Content{
		"config.json":              standin.Bytes([]byte("{}")),
		"folder/model.safetensors": standin.Synthetic(1, 11<<20),
	})
	r, err := h.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	stop = sync.OnceFunc(func() { require.NoError(t, r.Close()) })
	t.Cleanup(stop)
	return h, webHub{r.URL()}, commit, stop
}

func ageOf(d time.Duration) time.Time { return time.Now().Add(-d) }
