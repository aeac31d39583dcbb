package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/caller"
	"hffs/transfer/hub/standin"
)

// many files, of all kinds, in several folders.
func fullHub(t *testing.T, pageSize int) (*standin.Running, *standin.Hub, map[string]ref.Blob, ref.Commit) {
	t.Helper()
	h := standin.New()
	h.PageSize = pageSize
	xet := ref.XetHash(strings.Repeat("ab", 32))
	large := standin.Synthetic(1, 70_000)
	files, want := map[string]standin.Content{}, map[string]ref.Blob{}
	for i := range 23 {
		name := fmt.Sprintf("part-%d/sub dir/ä %d.txt", i%3, i)
		files[name] = standin.String(name)
		want[name] = ref.Blob{ETag: gitSHA1(name), Size: int64(len(name))}
	}
	files["model.bin"], files["plain.bin"] = large.Xet(xet), large
	want["model.bin"] = ref.Blob{ETag: ref.ETag(large.SHA256()), Size: 70_000, Xet: xet}
	want["plain.bin"] = ref.Blob{ETag: ref.ETag(large.SHA256()), Size: 70_000}
	commit := h.Add(tiny, "", files)
	return start(t, h), h, want, commit
}

func byName(files []ref.Listed) map[string]ref.Blob {
	m := map[string]ref.Blob{}
	for _, f := range files {
		m[f.Path] = f.Blob
	}
	return m
}

func TestTree(t *testing.T) {
	t.Parallel()
	for _, pageSize := range []int{0, 1, 7, 1000} {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			t.Parallel()
			run, h, want, commit := fullHub(t, pageSize)
			c := client(t, hub.Config{Endpoints: []string{run.URL()}})
			files, err := c.Tree(t.Context(), tiny, commit)
			require.NoError(t, err)
			require.Len(t, files, len(want))
			require.Equal(t, want, byName(files))
			for _, f := range files {
				e, err := c.Resolve(t.Context(), file(t, tiny, string(commit), f.Path))
				require.NoError(t, err)
				require.Equal(t, e.Blob, f.Blob, "the list says what resolve says")
			}
			h.Rename(tiny, other)
			files, err = c.Tree(t.Context(), tiny, commit)
			require.NoError(t, err)
			require.Equal(t, want, byName(files))
		})
	}
}

func TestTreeRefusals(t *testing.T) {
	t.Parallel()
	run, h, _, commit := fullHub(t, 0)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	_, err := c.Tree(t.Context(), tiny, ref.Commit(strings.Repeat("a", 40)))
	require.ErrorIs(t, err, hub.ErrRevisionNotFound)
	_, err = c.Tree(t.Context(), other, commit)
	require.ErrorIs(t, err, hub.ErrRepoNotFound)
	h.Gate(tiny, "auto")
	_, err = c.Tree(t.Context(), tiny, commit)
	require.NoError(t, err, "the Hub lists the files of gated repos")
	h.Private(tiny)
	_, err = c.Tree(t.Context(), tiny, commit)
	require.ErrorIs(t, err, hub.ErrRepoNotFound)
	offline := client(t, hub.Config{Endpoints: []string{run.URL()}, Offline: true})
	_, err = offline.Tree(t.Context(), tiny, commit)
	require.ErrorIs(t, err, hub.ErrOffline)
}

// answering serves one answer to everything.
func answering(t *testing.T, status int, headers map[string]string, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k, v := range headers {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

var someCommit = ref.Commit(strings.Repeat("c", 40))

func TestTreeOfNonsense(t *testing.T) {
	t.Parallel()
	sha1, sha256 := strings.Repeat("a", 40), strings.Repeat("b", 64)
	good := `{"type":"file","oid":"` + sha1 + `","size":5,"path":"good"}`
	for name, body := range map[string]string{
		"no JSON":           `<html>`,
		"null":              `null`,
		"no list":           `{"error":"x"}`,
		"an id that is odd": `[{"type":"file","oid":"../../x","size":5,"path":"x"}]`,
		"a bare sha256":     `[{"type":"file","oid":"` + sha256 + `","size":5,"path":"x"}]`,
		"LFS with a sha1":   `[{"type":"file","oid":"` + sha1 + `","size":5,"lfs":{"oid":"` + sha1 + `","size":5},"path":"x"}]`,
		"a negative size":   `[{"type":"file","oid":"` + sha1 + `","size":-5,"path":"x"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, hub.Config{Endpoints: []string{answering(t, 200, nil, body)}})
			_, err := c.Tree(t.Context(), tiny, someCommit)
			require.ErrorIs(t, err, hub.ErrUnreachable)
		})
	}
	t.Run("names that climb are left out, and so is what is no file", func(t *testing.T) {
		t.Parallel()
		odd := `{"type":"file","oid":"` + sha1 + `","size":5,"path":"../x"},{"type":"submodule","path":"y"},` +
			`{"type":"file","oid":"` + strings.ToUpper(sha1) + `","size":5,"path":"c:/x","xetHash":"` + strings.Repeat("*", 64) + `"},`
		redacted := `{"type":"file","oid":"` + sha1 + `","size":130,"lfs":{"oid":"` + sha256 + `","size":9},"xetHash":"` + strings.Repeat("*", 64) + `","path":"lfs"}`
		c := client(t, hub.Config{Endpoints: []string{answering(t, 200, nil, "["+odd+good+","+redacted+"]")}})
		var said []string
		files, err := c.Tree(hub.Listen(t.Context(), func(text string) { said = append(said, text) }), tiny, someCommit)
		require.NoError(t, err)
		require.Len(t, said, 2)
		require.Contains(t, said[0], `a file is left out: bad file "../x"`)
		require.Equal(t, []ref.Listed{
			{Path: "good", Blob: ref.Blob{ETag: ref.ETag(sha1), Size: 5}},
			{Path: "lfs", Blob: ref.Blob{ETag: ref.ETag(sha256), Size: 9}},
		}, files)
	})
}

// A list that goes on for ever ends all the same, and does no harm to other repos.
func TestTreeWithoutEnd(t *testing.T) {
	t.Parallel()
	t.Run("the same page again and again", func(t *testing.T) {
		t.Parallel()
		next := map[string]string{"Link": `<https://huggingface.co/api/x?cursor=1>; rel="next"`}
		c := client(t, hub.Config{Endpoints: []string{answering(t, 200, next, "[]")}})
		_, err := c.Tree(t.Context(), tiny, someCommit)
		require.ErrorContains(t, err, "no end")
	})
	t.Run("always another page", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int32
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", fmt.Sprintf(`<%s?cursor=%d>; rel="next"`, r.URL.Path, asked.Add(1)))
			_, _ = w.Write([]byte("[]"))
		}))
		defer s.Close()
		c := client(t, hub.Config{Endpoints: []string{s.URL}})
		_, err := c.Tree(t.Context(), tiny, someCommit)
		require.ErrorIs(t, err, hub.ErrTooLarge)
		require.NotErrorIs(t, err, hub.ErrUnreachable)
		require.LessOrEqual(t, asked.Load(), int32(1000))
	})
	t.Run("a page that is too long", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			blanks := []byte(strings.Repeat(" ", 1<<20))
			for range 66 {
				if _, err := w.Write(blanks); err != nil {
					return
				}
			}
		}))
		defer s.Close()
		c := client(t, hub.Config{Endpoints: []string{s.URL}})
		_, err := c.Tree(t.Context(), tiny, someCommit)
		require.ErrorIs(t, err, hub.ErrTooLarge)
	})
}

// The link to the next page names the Hub's own host, whoever passes it on: neither
// the question nor the token follows it there.
func TestTreePagesStayAtTheEndpoint(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer trap.Close()
	var tokens []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("Authorization"))
		n := r.URL.Query().Get("cursor")
		if n == "" {
			w.Header().Set("Link", `<`+trap.URL+`/api/hf`+r.URL.Path+`?recursive=true&cursor=2>; rel="next"`)
		}
		_, _ = fmt.Fprintf(w, `[{"type":"file","oid":%q,"size":1,"path":"page%s"}]`, strings.Repeat("a", 40), n)
	}))
	defer s.Close()
	c := client(t, hub.Config{Endpoints: []string{s.URL + "/api/hf"}, Token: secret})
	files, err := c.Tree(t.Context(), tiny, someCommit)
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.Equal(t, "page2", files[1].Path)
	require.Equal(t, []string{"Bearer " + secret, "Bearer " + secret}, tokens)
	require.Zero(t, elsewhere.Load())
}

func TestInfo(t *testing.T) {
	t.Parallel()
	run, h, _, commit := fullHub(t, 0)
	pr := h.Add(tiny, "refs/pr/1", map[string]standin.Content{"a": standin.String("a")})
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	for revision, want := range map[string]ref.Commit{"": commit, "main": commit, string(commit): commit, "refs/pr/1": pr} {
		info, err := c.Info(t.Context(), tiny, revision, url.Values{"blobs": {"true"}})
		require.NoError(t, err)
		require.Equal(t, want, info.Commit)
		require.Equal(t, tiny.ID, info.ID)
		require.False(t, info.Private || info.Gated)
		var whole struct {
			Siblings []struct {
				BlobID string `json:"blobId"`
			}
		}
		require.NoError(t, json.Unmarshal(info.JSON, &whole))
		require.NotEmpty(t, whole.Siblings[0].BlobID, "the query went along")
	}
	_, err := c.Info(t.Context(), tiny, "nope", nil)
	require.ErrorIs(t, err, hub.ErrRevisionNotFound)
	info, err := c.Info(t.Context(), tiny, "main", url.Values{"expand": {"sha"}})
	require.NoError(t, err)
	require.Equal(t, commit, info.Commit)
	require.True(t, info.Private && info.Gated, "what is not told counts as closed")

	h.Gate(tiny, "manual")
	h.Rename(tiny, other)
	info, err = c.Info(t.Context(), tiny, "", nil)
	require.NoError(t, err)
	require.Equal(t, other.ID, info.ID)
	require.True(t, info.Gated)
	require.False(t, info.Private)
	h.Private(other)
	_, err = c.Info(t.Context(), tiny, "", nil)
	require.ErrorIs(t, err, hub.ErrRepoNotFound)
	h.Token("hf_good", other)
	info, err = c.Info(caller.With(t.Context(), "hf_good"), tiny, "", nil)
	require.NoError(t, err)
	require.True(t, info.Private)
}

func TestInfoOfNonsense(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no JSON": `<`, "a list": `[]`, "no id": `{"sha":"` + string(someCommit) + `"}`,
		"a commit that is none": `{"id":"acme/tiny","sha":"../x"}`,
		"another commit":        `{"id":"acme/tiny","sha":"` + strings.Repeat("d", 40) + `"}`,
	} {
		c := client(t, hub.Config{Endpoints: []string{answering(t, 200, nil, body)}})
		_, err := c.Info(t.Context(), tiny, string(someCommit), nil)
		require.ErrorIs(t, err, hub.ErrUnreachable, name)
	}
}

func TestRefs(t *testing.T) {
	t.Parallel()
	run, h, _, commit := fullHub(t, 0)
	h.Tag(tiny, "v1", commit)
	h.Add(tiny, "refs/pr/1", map[string]standin.Content{"a": standin.String("a")})
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	for _, prs := range []bool{false, true} {
		list, err := c.Refs(t.Context(), tiny, prs)
		require.NoError(t, err)
		var said struct{ Branches, Tags, Converts, PullRequests []any }
		require.NoError(t, json.Unmarshal(list, &said))
		require.Len(t, said.Branches, 1)
		require.Len(t, said.Tags, 1)
		require.Equal(t, prs, len(said.PullRequests) == 1)
	}
	_, err := c.Refs(t.Context(), other, false)
	require.ErrorIs(t, err, hub.ErrRepoNotFound)
	odd := client(t, hub.Config{Endpoints: []string{answering(t, 200, nil, `{"error":"x"}`)}})
	_, err = odd.Refs(t.Context(), tiny, false)
	require.ErrorIs(t, err, hub.ErrUnreachable)
}

// A mirror answers where the Hub does not, and never sees a token. Its no about
// access says nothing.
func TestQuestionsToMirrors(t *testing.T) {
	t.Parallel()
	mirror, mirrorRun := tinyHub(t)
	c := client(t, hub.Config{
		Endpoints: []string{"https://huggingface.co", "https://mirror.example"}, Token: secret,
		Transport: netmap{"mirror.example": mirrorRun.URL(), "huggingface.co": deadURL(t)},
	})
	info, err := c.Info(t.Context(), tiny, "", nil)
	require.NoError(t, err)
	_, err = c.Tree(t.Context(), tiny, info.Commit)
	require.NoError(t, err)
	_, err = c.Refs(caller.With(t.Context(), "hf_other"), tiny, true)
	require.NoError(t, err)
	require.Len(t, mirror.Requests(), 3)
	require.ErrorIs(t, c.May(t.Context(), tiny), hub.ErrUnreachable)
	require.Len(t, mirror.Requests(), 3)
	public, err := c.Public(t.Context(), tiny)
	require.NoError(t, err)
	require.True(t, public, "what a mirror gives to everybody is")
	mirror.Private(tiny)
	_, err = c.Public(t.Context(), tiny)
	require.ErrorIs(t, err, hub.ErrUnreachable, "a mirror's no is nobody's")
	for _, r := range mirror.Requests() {
		require.False(t, r.Token)
	}
}

// A web page, or somebody else's word, is no answer.
func TestAPIIsNotTakenFromOthers(t *testing.T) {
	t.Parallel()
	page := map[string]string{"Content-Type": "text/html"}
	_, good := tinyHub(t)
	for name, endpoint := range map[string]string{
		"a web page":           answering(t, 200, page, "<p>Please log in"),
		"a page that says 401": answering(t, 401, page, "<p>Please log in"),
		"a redirect elsewhere": answering(t, 307, map[string]string{"Location": good.URL() + "/api/models/acme/tiny"}, ""),
		"another encoding":     answering(t, 200, map[string]string{"Content-Encoding": "br"}, "x"),
	} {
		c := client(t, hub.Config{Endpoints: []string{endpoint}})
		_, err := c.Info(t.Context(), tiny, "", nil)
		require.ErrorIs(t, err, hub.ErrUnreachable, name)
		_, err = c.Public(t.Context(), tiny)
		require.ErrorIs(t, err, hub.ErrUnreachable, name)
		require.ErrorIs(t, c.May(t.Context(), tiny), hub.ErrUnreachable, name)
	}
}
