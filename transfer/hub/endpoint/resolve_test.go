package endpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func TestAFileIsAnsweredDirectly(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, method := range []string{"HEAD", "GET"} {
		for name, body := range d.files[main1] {
			got := d.ask(method, "/org/model/resolve/main/"+name, nil, "")
			etag := `"` + string(blobOf(name, body).ETag) + `"`
			require.Equal(t, 200, got.StatusCode)
			require.Equal(t, string(main1), got.Header.Get("X-Repo-Commit"))
			require.Equal(t, etag, got.Header.Get("ETag"))
			require.Equal(t, etag, got.Header.Get("X-Linked-Etag"))
			require.Equal(t, strconv.Itoa(len(body)), got.Header.Get("X-Linked-Size"))
			require.Equal(t, strconv.Itoa(len(body)), got.Header.Get("Content-Length"), "also on a HEAD")
			require.Equal(t, "bytes", got.Header.Get("Accept-Ranges"))
			require.Equal(t, "application/octet-stream", got.Header.Get("Content-Type"))
			for _, never := range []string{"Location", "Link", "X-Xet-Hash", "X-Xet-Refresh-Route", "Content-Encoding", "Access-Control-Allow-Origin"} {
				require.Empty(t, got.Header.Get(never))
			}
			if method == "GET" {
				require.Equal(t, string(body), got.body)
			}
		}
	}
}

func TestRangesOfAFile(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	whole := string(d.files[main1]["model.safetensors"])
	etag := string(blobOf("model.safetensors", []byte(whole)).ETag)
	for _, c := range []struct {
		name, method, path string
		header             http.Header
		status             int
		contentRange, body string
	}{
		{"to the end", "GET", "model.safetensors", header("Range", "bytes=990-"), 206, "bytes 990-999/1000", whole[990:]},
		{"between", "GET", "model.safetensors", header("Range", "bytes=10-12"), 206, "bytes 10-12/1000", "012"},
		{"a probe", "GET", "model.safetensors", header("Range", "bytes=0-0"), 206, "bytes 0-0/1000", "0"},
		{"more than there is", "GET", "config.json", header("Range", "bytes=0-100000"), 206, "bytes 0-7/8", `{"a": 1}`},
		{"the last", "GET", "model.safetensors", header("Range", "bytes=-3"), 206, "bytes 997-999/1000", "789"},
		{"past the end", "GET", "model.safetensors", header("Range", "bytes=1000-"), 416, "bytes */1000", "Range Not Satisfiable"},
		{"nonsense", "GET", "model.safetensors", header("Range", "bytes=0--1"), 416, "bytes */1000", "Range Not Satisfiable"},
		{"several", "GET", "model.safetensors", header("Range", "bytes=0-1,5-6"), 200, "", whole},
		{"another unit", "GET", "model.safetensors", header("Range", "rows=0-1"), 200, "", whole},
		{"of an empty file", "GET", "empty.txt", header("Range", "bytes=0-0"), 200, "", ""},
		{"to the end of an empty file", "GET", "empty.txt", header("Range", "bytes=0-"), 200, "", ""},
		{"on a HEAD", "HEAD", "model.safetensors", header("Range", "bytes=10-12"), 200, "", ""},
		{"if it is still the same", "GET", "model.safetensors", header("Range", "bytes=0-1", "If-Range", `"`+etag+`"`), 206, "bytes 0-1/1000", "01"},
		{"if it were the same", "GET", "model.safetensors", header("Range", "bytes=0-1", "If-Range", `"other"`), 200, "", whole},
		{"a weak etag is not enough", "GET", "model.safetensors", header("Range", "bytes=0-1", "If-Range", `W/"`+etag+`"`), 200, "", whole},
		{"unless one has it", "GET", "model.safetensors", header("If-None-Match", `"x", W/"`+etag+`"`), 304, "", ""},
		{"unless one has another", "GET", "model.safetensors", header("If-None-Match", `"x"`), 200, "", whole},
		{"a HEAD is never told not modified", "HEAD", "model.safetensors", header("If-None-Match", `"`+etag+`"`), 200, "", ""},
		{"only if it is the same", "GET", "model.safetensors", header("If-Match", `"x"`), 412, "", "Precondition Failed"},
		{"and it is", "GET", "model.safetensors", header("If-Match", `"`+etag+`"`), 200, "", whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := d.ask(c.method, "/org/model/resolve/main/"+c.path, c.header, "")
			require.NoError(t, got.err)
			require.Equal(t, c.status, got.StatusCode)
			require.Equal(t, c.contentRange, got.Header.Get("Content-Range"))
			require.Equal(t, c.body, got.body)
			if c.method == "GET" && c.status != 304 {
				require.EqualValues(t, len(c.body), got.ContentLength)
			}
			if c.method == "HEAD" {
				require.EqualValues(t, len(whole), got.ContentLength)
			}
		})
	}
}

func TestAnAbsentFileIsKeptAsSuchOnlyWhenThatIsCertain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*shelf)
		status int
		code   string
		commit ref.Commit
	}{
		{"with the whole list", func(*shelf) {}, 404, "EntryNotFound", main1},
		{"with a part of the list", func(s *shelf) { s.partial = true }, 404, "EntryNotFound", ""},
		{"while the Hub is out of reach", func(s *shelf) { s.fault = errHubAway }, 503, "", ""},
		{"with an error nobody knows", func(s *shelf) { s.fault = errors.New("disk full") }, 502, "", ""},
		{"with no end in sight", func(s *shelf) { s.fault = context.DeadlineExceeded }, 504, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			c.change(s)
			got := serve(t, s).head("/org/model/resolve/main/nope.json")
			require.Equal(t, c.status, got.StatusCode)
			require.Equal(t, c.code, got.Header.Get("X-Error-Code"))
			require.Equal(t, string(c.commit), got.Header.Get("X-Repo-Commit"))
			require.Empty(t, got.Header.Get("ETag"))
		})
	}
}

func TestAnAbsentFileLooksAsAtTheHub(t *testing.T) {
	t.Parallel()
	got := newDoor(t).get("/org/model/resolve/main/nope.json")
	require.Equal(t, "Entry not found", got.body)
	require.Equal(t, "Entry not found", got.Header.Get("X-Error-Message"))
	require.Equal(t, "text/plain; charset=utf-8", got.Header.Get("Content-Type"))
	recorded := recordedHeaders(t, "resolve-errors.http", "HTTP/2 404")
	for _, name := range []string{"X-Error-Code", "X-Error-Message", "Content-Type", "Content-Length"} {
		require.Equal(t, recorded.Get(name), got.Header.Get(name))
	}
}

func TestRevisionsAreFoundInEveryWriting(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, name := range []string{"refs/pr/1", "refs/convert/parquet", "feature/x", "v1.0"} {
		d.branches[name] = main1
	}
	for _, path := range []string{
		"/org/model/resolve/refs%2Fpr%2F1/config.json", "/org/model/resolve/refs/pr/1/config.json",
		"/datasets/org/data/resolve/refs%2Fconvert%2Fparquet/config.json", "/datasets/org/data/resolve/refs/convert/parquet/onnx/model.onnx",
		"/spaces/org/app/resolve/feature%2Fx/config.json", "/spaces/org/app/resolve/feature/x/onnx/model.onnx",
		"/gpt2/resolve/v1.0/config.json", "/gpt2/resolve/" + string(main1) + "/onnx%2Fmodel.onnx",
		"//gpt2/resolve/main/config.json", "///datasets/org/data/resolve/main/config.json",
		"/api/resolve-cache/models/gpt2/" + string(main1) + "/config.json", "/api/resolve-cache/datasets/org/data/" + string(main1) + "/onnx/model.onnx",
	} {
		require.Equal(t, 200, d.get(path).StatusCode, path)
	}
	got := d.get("/org/model/resolve/nope/config.json")
	require.Equal(t, 404, got.StatusCode)
	require.Equal(t, "RevisionNotFound", got.Header.Get("X-Error-Code"))
	require.Equal(t, 400, d.get("/api/resolve-cache/models/org/model/main/config.json").StatusCode, "a branch is no commit")
}

func TestOddNames(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, name := range []string{"a b.txt", "100%.txt", "a#b?.txt", "größe/模型.txt", "a+b&c=d.txt", "%2e%2e.txt", "resolve/main/x"} {
		d.files[main1][name] = []byte(name)
	}
	for path, name := range map[string]string{
		"a%20b.txt": "a b.txt", "100%25.txt": "100%.txt", "a%23b%3F.txt": "a#b?.txt", "größe/模型.txt": "größe/模型.txt",
		"gr%C3%B6%C3%9Fe%2F%E6%A8%A1%E5%9E%8B.txt": "größe/模型.txt", "a+b&c=d.txt": "a+b&c=d.txt", "%252e%252e.txt": "%2e%2e.txt", "resolve/main/x": "resolve/main/x",
	} {
		got := d.get("/org/model/resolve/main/" + path)
		require.Equal(t, 200, got.StatusCode, path)
		require.Equal(t, name, got.body)
		require.NotContains(t, got.Header.Get("Content-Disposition"), "\n")
	}
	require.Equal(t, `inline; filename*=UTF-8''a%23b%3F.txt; filename="a#b?.txt";`, d.head("/org/model/resolve/main/a%23b%3F.txt").Header.Get("Content-Disposition"))
}

func TestWaysOutOfARepoAreRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, path := range []string{
		"/org/model/resolve/main/%2e%2e/config.json", "/org/model/resolve/main/..%2f..%2fetc%2fpasswd", "/org/model/resolve/..%2fmain/config.json",
		"/org/%2e%2e/resolve/main/config.json", "/api/models/org/model/tree/main/%2e%2e", "/api/%2e%2e/whoami-v2", "/org/model/resolve/main/./config.json",
	} {
		require.Equal(t, 400, d.get(path).StatusCode, path)
	}
	require.Empty(t, d.did(), "nobody was asked")
	for _, path := range []string{"C:/x", "a%5cb", "a//b", "config.json/", "%00"} {
		got := d.get("/org/model/resolve/main/" + path)
		require.Equal(t, 404, got.StatusCode, path)
		require.Equal(t, "EntryNotFound", got.Header.Get("X-Error-Code"))
		require.Empty(t, got.Header.Get("X-Repo-Commit"))
	}
}

func TestBytesAreOfTheCommitThatTheHeadNamed(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.files[main2] = map[string][]byte{"config.json": []byte("new"), "other.json": []byte("other")}
	require.Equal(t, string(main1), d.head("/org/model/resolve/main/config.json").Header.Get("X-Repo-Commit"))
	d.branches["main"] = main2
	require.Equal(t, string(main2), d.head("/org/model/resolve/main/other.json").Header.Get("X-Repo-Commit"))
	require.Equal(t, `{"a": 1}`, d.get("/org/model/resolve/main/config.json").body, "another file's HEAD does not move it")
	require.Equal(t, `"a": 1}`, d.get("/org/model/resolve/main/config.json", header("Range", "bytes=1-")).body)
	stranger := d.get("/org/model/resolve/main/config.json", header("Authorization", "Bearer hf_x"))
	require.Equal(t, "new", stranger.body, "who was not told before gets what is there now")
	require.Equal(t, string(main2), d.head("/org/model/resolve/main/config.json").Header.Get("X-Repo-Commit"), "a HEAD asks anew")
	require.Equal(t, "new", d.get("/org/model/resolve/main/config.json").body)
}

func TestWhoOnlyFetchesSeesEveryChange(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.files[main2] = map[string][]byte{"config.json": []byte("brand-new")}
	d.get("/org/model/resolve/main/config.json")
	d.branches["main"] = main2
	require.Equal(t, `1}`, d.get("/org/model/resolve/main/config.json", header("Range", "bytes=6-")).body, "the rest of what was begun")
	require.Equal(t, "brand-new", d.get("/org/model/resolve/main/config.json").body)
}

func TestPinsEnd(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	p := newPins(func() time.Time { return now })
	k := pinKey{file: ref.File{Repo: gpt2, Revision: "main", Path: "x"}}
	p.set(k, main1, true)
	now = now.Add(pinLife - 1)
	_, ok := p.get(k, false)
	require.True(t, ok)
	now = now.Add(1)
	_, ok = p.get(k, false)
	require.False(t, ok)
}

func TestAHeadWaitsForWhoSharesTheCache(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, agent   string
		placed, limit bool
	}{
		{"python", agentPython.Get("User-Agent"), true, true},
		{"python under hffs run", agentPython.Get("User-Agent") + "; origin/" + RunMark, true, false},
		{"curl", "curl/8.7.1", false, false},
		{"node", "node", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			var placed, limit bool
			s.placed = func(ctx context.Context) bool {
				placed = true
				_, limit = ctx.Deadline()
				return true
			}
			d := serve(t, s)
			require.Equal(t, 200, d.head("/org/model/resolve/main/config.json", header("User-Agent", c.agent)).StatusCode)
			require.Equal(t, c.placed, placed)
			require.Equal(t, c.limit, limit)
			placed = false
			d.get("/org/model/resolve/main/config.json", header("User-Agent", c.agent))
			require.False(t, placed, "a GET does not wait")
		})
	}
}

func TestAHeadEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	began, ended := make(chan struct{}), make(chan struct{})
	s.placed = func(ctx context.Context) bool {
		close(began)
		<-ctx.Done()
		close(ended)
		return false
	}
	d := serve(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "HEAD", d.url+"/org/model/resolve/main/config.json", nil)
	require.NoError(t, err)
	req.Header.Set("User-Agent", "x; hf_hub/1.0; origin/"+RunMark)
	go func() { <-began; cancel() }()
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	<-ended
}

func TestWaitingHeadsAreBounded(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.placed = func(context.Context) bool { panic("there is no room") }
	e := &endpoint{lib: s, placing: make(chan struct{})} // room for none
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "HEAD", "/", nil)
	r.Header.Set("User-Agent", "hf_hub/1 "+RunMark)
	(&exchange{endpoint: e, r: r}).place(ref.Entry{})
	require.Empty(t, s.did())
}

func TestBytesGoOutAsTheyCome(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	pieces, closed := make(chan string), make(chan struct{})
	s.coming = func(int) Content {
		return &stream{func(ctx context.Context, w io.Writer, off, n int64) (sent int64, err error) {
			require.EqualValues(t, 100, off)
			for piece := range pieces {
				k, err := io.WriteString(w, piece)
				if sent += int64(k); err != nil {
					return sent, err
				}
			}
			return sent, nil
		}, closed}
	}
	d := serve(t, s)
	req, err := http.NewRequest("GET", d.url+"/org/model/resolve/main/model.safetensors", nil)
	require.NoError(t, err)
	req.Header.Set("Range", "bytes=100-105")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err, "headers come before the first byte is there")
	defer resp.Body.Close()
	require.Equal(t, 206, resp.StatusCode)
	got := make([]byte, 3)
	for _, piece := range []string{"012", "345"} {
		pieces <- piece
		_, err = io.ReadFull(resp.Body, got) // nothing more is on its way yet
		require.NoError(t, err)
		require.Equal(t, piece, string(got))
	}
	close(pieces)
	<-closed
}

func TestABodyIsBrokenOffRatherThanEndedShort(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(context.Context, io.Writer, int64, int64) (int64, error){
		"an error": func(_ context.Context, w io.Writer, _, _ int64) (int64, error) { return 0, errors.New("no source") },
		"after some": func(_ context.Context, w io.Writer, _, _ int64) (int64, error) {
			n, _ := w.Write(make([]byte, 10))
			return int64(n), errors.New("lost")
		},
		"short, no error": func(_ context.Context, w io.Writer, _, _ int64) (int64, error) {
			n, _ := w.Write(make([]byte, 10))
			return int64(n), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			closed := make(chan struct{})
			s.coming = func(int) Content { return &stream{send, closed} }
			got := serve(t, s).get("/org/model/resolve/main/model.safetensors")
			require.Equal(t, 200, got.StatusCode)
			require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
			<-closed
		})
	}
}

func TestAFileShorterThanItShouldBeIsBrokenOff(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	e, err := s.Entry(t.Context(), ref.File{Repo: model, Revision: "main", Path: "model.safetensors"})
	require.NoError(t, err)
	e.Blob.Size += 10
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ep := &endpoint{lib: s, log: discard}
		(&exchange{ep, &answer{ResponseWriter: w}, r}).file(e, typeFile)
	}))
	defer srv.Close()
	got := door{s, t, srv.URL}.get("/x")
	require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
}

func TestAFetchThatCannotBeginIsToldInTime(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.open = errHubAway
	got := serve(t, s).get("/org/model/resolve/main/model.safetensors")
	require.Equal(t, 503, got.StatusCode)
	require.Empty(t, got.Header.Get("ETag"), "an error page has no content id")
}

func TestWhatCannotBeKeptHereComesFromTheHub(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.open = ErrForward
	s.hub = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://cdn.example/"+r.Header.Get("Range"), http.StatusFound)
	}
	got := serve(t, s).ask(http.MethodGet, "/org/model/resolve/main/model.safetensors", http.Header{"Range": {"bytes=5-"}}, "")
	require.Equal(t, 302, got.StatusCode)
	require.Equal(t, "http://cdn.example/bytes=5-", got.Header.Get("Location"))
	require.Empty(t, got.Header.Get("ETag"), "nothing of ours is in it")
}

func TestAClientThatLeavesEndsTheSending(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	closed := make(chan struct{})
	s.coming = func(int) Content {
		return &stream{func(ctx context.Context, w io.Writer, _, _ int64) (int64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, closed}
	}
	d := serve(t, s)
	c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(c, "GET /org/model/resolve/main/model.safetensors HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	<-closed
}

func TestTheServersLimitsDoNotEndADownload(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	closed := make(chan struct{})
	s.coming = func(int) Content {
		return &stream{func(ctx context.Context, w io.Writer, _, n int64) (int64, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(300 * time.Millisecond): // well past the server's limits
			}
			k, err := w.Write(bytes.Repeat([]byte("x"), int(n)))
			return int64(k), err
		}, closed}
	}
	srv := httptest.NewUnstartedServer(New(Config{Library: s, Explain: explain}))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	srv.Start()
	defer srv.Close()
	got := door{s, t, srv.URL}.get("/org/model/resolve/main/model.safetensors")
	require.NoError(t, got.err)
	require.Len(t, got.body, 1000)
}

func TestTokensAreTheCallers(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, c := range []struct{ header, token string }{
		{"", ""}, {"Bearer hf_abc", "hf_abc"}, {"bearer  hf_abc ", "hf_abc"}, {"Basic aGY6eA==", ""}, {"Bearer", ""},
	} {
		d.get("/org/model/resolve/main/config.json", header("Authorization", c.header))
		d.get("/api/whoami-v2", header("Authorization", c.header))
		for _, token := range d.tokens {
			require.Equal(t, c.token, token)
		}
		d.tokens = nil
	}
}

func TestRawIsWhatGitHolds(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	got := d.get("/org/model/raw/main/config.json")
	require.Equal(t, `{"a": 1}`, got.body)
	require.Equal(t, typeText, got.Header.Get("Content-Type"))
	got = d.get("/org/model/raw/main/model.safetensors")
	b := blobOf("model.safetensors", d.files[main1]["model.safetensors"])
	require.Equal(t, "version https://git-lfs.github.com/spec/v1\noid sha256:"+string(b.ETag)+"\nsize 1000\n", got.body)
	require.Equal(t, 404, d.head("/org/model/raw/main/nope").StatusCode)
}
