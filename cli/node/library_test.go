package node

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/source"
)

// commit is what main is, by the Hub's own word.
func (l *lan) commit() ref.Commit {
	l.t.Helper()
	h, err := hub.New(hub.Config{Endpoints: []string{l.url}})
	require.NoError(l.t, err)
	defer h.Close()
	i, err := h.Info(l.t.Context(), repo, "main", nil)
	require.NoError(l.t, err)
	return i.Commit
}

// said is what the node's endpoint answered.
type said struct {
	status int
	header http.Header
	body   string
}

// asked asks a node as programs ask the Hub.
func asAProgram(t *testing.T, n *Node, method, path, token string) said {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.API()+path, nil)
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return said{resp.StatusCode, resp.Header, string(body)}
}

var resolvePath = fmt.Sprintf("/%s/resolve/main/%s", repo.ID, file)

func TestAProgramReadsThroughTheNode(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a, _ := l.up(t.TempDir())
	b, _ := l.up(t.TempDir())
	l.peers(a, 1)
	l.peers(b, 1)
	_, err := a.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(a)
	sent := l.hub.BodyBytes(repo, file)

	head := asAProgram(t, b, http.MethodHead, resolvePath, "")
	require.Equal(t, http.StatusOK, head.status)
	require.Equal(t, fmt.Sprint(l.size), head.header.Get("Content-Length"))
	got := asAProgram(t, b, http.MethodGet, resolvePath, "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, head.header.Get("ETag"), got.header.Get("ETag"))
	require.Len(t, got.body, int(l.size))
	require.Equal(t, sent, l.hub.BodyBytes(repo, file), "it came from the neighbour")
	w, err := b.Where(t.Context(), ask)
	require.NoError(t, err)
	require.NotNil(t, w.Local, "and lies in this cache by now, under its name")
}

func TestTheHubGoneAProgramFindsAModelItHasNeverSeen(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	commit := l.commit()
	a, _ := l.up(t.TempDir())
	b, _ := l.up(t.TempDir())
	l.peers(a, 1)
	l.peers(b, 1)
	for _, path := range []string{"config.json", file} {
		require.Equal(t, http.StatusOK, asAProgram(t, a, http.MethodGet, "/"+repo.ID+"/resolve/main/"+path, "").status)
	}
	l.shares(a)
	require.Eventually(t, func() bool {
		told, err := l.asker(a).List(t.Context(), repo, commit)
		return err == nil && len(told) > 0 && told[0].Whole
	}, 10*time.Second, 20*time.Millisecond)
	l.close()

	info := asAProgram(t, b, http.MethodGet, "/api/models/"+repo.ID+"/revision/main", "")
	require.Equal(t, http.StatusOK, info.status, info.body)
	var is struct{ Sha string }
	require.NoError(t, json.Unmarshal([]byte(info.body), &is))
	require.Equal(t, string(commit), is.Sha)
	tree := asAProgram(t, b, http.MethodGet, "/api/models/"+repo.ID+"/tree/"+is.Sha+"?recursive=true", "")
	require.Equal(t, http.StatusOK, tree.status, tree.body)
	require.Contains(t, tree.body, file)
	require.Equal(t, `{"a": 1}`, asAProgram(t, b, http.MethodGet, "/"+repo.ID+"/resolve/"+is.Sha+"/config.json", "").body)
	require.Len(t, asAProgram(t, b, http.MethodGet, resolvePath, "").body, int(l.size))
	none := asAProgram(t, b, http.MethodHead, "/"+repo.ID+"/resolve/main/nothing.json", "")
	require.Equal(t, http.StatusNotFound, none.status)
	require.Equal(t, "EntryNotFound", none.header.Get("X-Error-Code"))
	require.Empty(t, none.header.Get("X-Repo-Commit"), "only a neighbour says so: clients are not to keep it for good")
	stranger := asAProgram(t, b, http.MethodHead, "/org/other/resolve/main/config.json", "")
	require.GreaterOrEqual(t, stranger.status, 500, "nobody can say that there is no such repo")
}

func TestWhatIsNotPublicStaysHere(t *testing.T) {
	t.Parallel()
	for _, share := range []bool{false, true} {
		t.Run(fmt.Sprintf("share %v", share), func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			l.hub.Gate(repo, "auto")
			l.hub.Token("hf_good", repo)
			l.limit = func(c *Config) { c.Hub.Token, c.ShareGated = "hf_good", share }
			a, _ := l.up(t.TempDir())
			got, err := a.Get(t.Context(), ask, nil)
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				s, err := a.Status(t.Context())
				return err == nil && s.Shares.Files > 0
			}, 10*time.Second, 10*time.Millisecond, "the cache offers it")

			known, err := l.asker(a).Known(t.Context(), ref.File{Repo: repo, Revision: "main", Path: file})
			require.NoError(t, err)
			door := newStore(a.cache, a.engine)
			held, err := door.Held(ref.ETag(got.ETag))
			if share {
				require.Len(t, known, 1)
				require.NoError(t, err)
				require.NoError(t, held.Close())
			} else {
				require.Empty(t, known)
				require.ErrorIs(t, err, source.ErrGone)
			}

			anonymous := asAProgram(t, a, http.MethodGet, resolvePath, "")
			require.Contains(t, []int{401, 403}, anonymous.status)
			require.Equal(t, "GatedRepo", anonymous.header.Get("X-Error-Code"))
			require.Contains(t, []int{401, 403}, asAProgram(t, a, http.MethodGet, resolvePath, "hf_wrong").status)
			require.Len(t, asAProgram(t, a, http.MethodGet, resolvePath, "hf_good").body, int(l.size))
			l.close()
			require.Len(t, asAProgram(t, a, http.MethodGet, resolvePath, "hf_good").body, int(l.size), "this machine's own user")
			require.GreaterOrEqual(t, asAProgram(t, a, http.MethodGet, resolvePath, "").status, 400)
		})
	}
}
