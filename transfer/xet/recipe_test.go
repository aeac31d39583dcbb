package xet

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/source"
	"hffs/transfer/xorb"
)

var (
	hashA = strings.Repeat("a", 64)
	hashB = strings.Repeat("b", 64)
)

// good is the example of the protocol's description, and a second term.
const good = `{"offset_into_first_range":1000,
 "terms":[{"hash":"A","unpacked_length":200000,"range":{"start":4,"end":7}},
          {"hash":"B","unpacked_length":70000,"range":{"start":0,"end":1}},
          {"hash":"A","unpacked_length":60000,"range":{"start":5,"end":6}}],
 "xorbs":{"A":[{"url":"https://data.example/a?X-Xet-Signed-Range=bytes%3D70000-150000&s=1","ranges":[{"chunks":{"start":4,"end":7},"bytes":{"start":70000,"end":150000}}]}],
          "B":[{"url":"https://data.example/b","ranges":[{"chunks":{"start":0,"end":1},"bytes":{"start":0,"end":60000}}]}]}}`

const goodV1 = `{"offset_into_first_range":1000,
 "terms":[{"hash":"A","unpacked_length":200000,"range":{"start":4,"end":7}}],
 "fetch_info":{"A":[{"range":{"start":4,"end":7},"url":"https://data.example/a","url_range":{"start":70000,"end":150000}}]}}`

func wire(s string) []byte {
	return []byte(strings.NewReplacer(`"A"`, `"`+hashA+`"`, `"B"`, `"`+hashB+`"`).Replace(s))
}

func TestParseRecipe(t *testing.T) {
	t.Parallel()
	r, err := parseRecipe(wire(good), 329_000, true)
	require.NoError(t, err)
	require.EqualValues(t, 1000, r.skip)
	require.Len(t, r.terms, 3)
	require.Same(t, r.terms[0].from, r.terms[2].from, "several terms may share a range")
	require.Equal(t, 2, r.terms[0].from.terms)
	require.Equal(t, "X-Xet-Signed-Range=bytes%3D70000-150000&s=1", r.terms[0].from.url.RawQuery, "the query is signed as it is")
	require.EqualValues(t, 80_001, r.terms[0].from.length())

	r, err = parseRecipe(wire(goodV1), 199_000, true)
	require.NoError(t, err)
	require.EqualValues(t, 70_000, r.terms[0].from.first)
}

func TestRecipesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"no JSON":                        {`{"offset`, `<offset`},
		"terms behind the end":           {`"terms":[`, `"terms":[{"hash":"A","unpacked_length":393216,"range":{"start":4,"end":7}},`},
		"too few bytes":                  {`60000,"range"`, `59999,"range"`},
		"a negative skip":                {`range":1000`, `range":-1`},
		"skips the first term":           {`range":1000`, `range":200000`},
		"no terms":                       {`"terms"`, `"others"`},
		"a term without chunks":          {`{"start":4,"end":7}},`, `{"start":7,"end":7}},`},
		"a term with more than fits":     {`200000`, `393217`},
		"a term with less than a byte":   {`200000`, `2`},
		"a term beyond all xorbs":        {`{"start":0,"end":1}},`, `{"start":0,"end":8193}},`},
		"a term of no xorb":              {`"hash":"B"`, `"hash":"../x"`},
		"a term without data":            {`"B":[`, `"C":[`},
		"a term that the data lacks":     {`{"start":0,"end":1}},`, `{"start":1,"end":2}},`},
		"data of no length":              {`{"start":70000,"end":150000}`, `{"start":70000,"end":69999}`},
		"data too short for its headers": {`{"start":70000,"end":150000}`, `{"start":70000,"end":70010}`},
		"data of more than a xorb":       {`{"start":0,"end":60000}`, `{"start":0,"end":67174400}`},
		"data before the beginning":      {`{"start":0,"end":60000}`, `{"start":-1,"end":60000}`},
		"data at no URL":                 {`https://data.example/b`, `data`},
		"data on disk":                   {`https://data.example/b`, `file:///etc/passwd`},
		"data of somebody":               {`https://data.example/b`, `https://me:pw@data.example/b`},
		"data without TLS":               {`https://data.example/b`, `http://data.example/b`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, change[0], change[1], 1)
			require.NotEqual(t, good, bad)
			_, err := parseRecipe(wire(bad), 329_000, true)
			require.ErrorIs(t, err, errRecipe)
			require.NotContains(t, err.Error(), "data.example")
		})
	}
	_, err := parseRecipe(wire(strings.ReplaceAll(good, "https://data.example", "http://127.0.0.1")), 329_000, true)
	require.NoError(t, err, "this machine needs no TLS")
	_, err = parseRecipe(wire(strings.ReplaceAll(good, "https:", "http:")), 329_000, false)
	require.NoError(t, err, "nor does who was asked without it")
}

func FuzzParseRecipe(f *testing.F) {
	f.Add(wire(good), int64(329_000))
	f.Add(wire(goodV1), int64(1))
	f.Add([]byte(`{}`), int64(0))
	f.Fuzz(func(t *testing.T, body []byte, n int64) {
		r, err := parseRecipe(body, n, true)
		if err != nil {
			return
		}
		var total int64
		for _, term := range r.terms {
			require.LessOrEqual(t, term.from.start, term.start)
			require.GreaterOrEqual(t, term.from.end, term.end)
			require.Less(t, term.start, term.end)
			require.Positive(t, term.from.length())
			require.LessOrEqual(t, term.from.length(), int64(xorb.MaxSize))
			require.GreaterOrEqual(t, term.from.terms, 1)
			total += term.size
		}
		require.GreaterOrEqual(t, total-r.skip, n)
	})
}

// A CAS may pack its answers, and may not make us unpack without end.
func TestPackedRecipes(t *testing.T) {
	t.Parallel()
	c1, c2 := bytes.Repeat([]byte{1}, 50), bytes.Repeat([]byte{2}, 60)
	data := xorb.Append(xorb.Append(nil, c1), c2)
	bomb := false
	srv := httptest.NewUnstartedServer(nil)
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/data" {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
			return
		}
		require.Equal(t, "gzip", r.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		if bomb {
			for range maxAnswer/1024 + 1024 {
				if _, err := z.Write(bytes.Repeat([]byte(" "), 1024)); err != nil {
					return
				}
			}
		}
		_ = json.NewEncoder(z).Encode(map[string]any{
			"terms": []any{map[string]any{"hash": hashA, "unpacked_length": 110, "range": wireRange{0, 2}}},
			"xorbs": map[string]any{hashA: []any{map[string]any{"url": srv.URL + "/data", "ranges": []any{
				wireRanges{wireRange{0, 2}, wireRange{0, int64(len(data)) - 1}},
			}}}},
		})
	})
	srv.Start()
	t.Cleanup(srv.Close)
	client := New(Config{RetryWait: time.Millisecond, Token: func(context.Context, ref.Entry) (Token, error) {
		return Token{CAS: srv.URL, Access: "a", Expires: time.Now().Add(time.Hour)}, nil
	}})
	e := ref.Entry{Blob: ref.Blob{Size: 110, Xet: ref.XetHash(hashA)}}
	var got []byte
	for c, err := range client.Chunks(t.Context(), e, 0, 110) {
		require.NoError(t, err)
		got = append(got, c.Data...)
	}
	require.Equal(t, append(c1, c2...), got)

	bomb = true
	for _, err := range client.Chunks(t.Context(), e, 0, 110) {
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorContains(t, err, "more than")
	}
}

// What the host of the data can do wrong besides breaking off: fewer chunks than
// announced, more, other lengths.
func TestDataThatIsNotAsAnnounced(t *testing.T) {
	t.Parallel()
	data := xorb.Append(xorb.Append(nil, bytes.Repeat([]byte{1}, 50)), bytes.Repeat([]byte{2}, 60))
	for name, tt := range map[string]struct {
		chunks, length int64
		said           string
	}{
		"fewer":            {3, 180, "unexpected EOF"},
		"more":             {1, 50, "more chunks"},
		"a longer term":    {2, 120, "term of 120 bytes with 110"},
		"a shorter term":   {2, 100, "term of 100 bytes with 110"},
		"far shorter term": {2, 40, "more bytes than its 40"},
	} {
		t.Run(name, func(t *testing.T) {
			var srv *httptest.Server
			srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/data" {
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
					return
				}
				_ = json.NewEncoder(w).Encode(map[string]any{
					"terms": []any{map[string]any{"hash": hashA, "unpacked_length": tt.length, "range": wireRange{0, tt.chunks}}},
					"xorbs": map[string]any{hashA: []any{map[string]any{"url": srv.URL + "/data", "ranges": []any{
						wireRanges{wireRange{0, tt.chunks}, wireRange{0, int64(len(data)) - 1}},
					}}}},
				})
			}))
			t.Cleanup(srv.Close)
			client := New(Config{RetryWait: time.Millisecond, Token: func(context.Context, ref.Entry) (Token, error) {
				return Token{CAS: srv.URL, Access: "a", Expires: time.Now().Add(time.Hour)}, nil
			}})
			e := ref.Entry{Blob: ref.Blob{Size: tt.length, Xet: ref.XetHash(hashA)}}
			s, err := client.stream(t.Context(), e, 0, tt.length)
			require.NoError(t, err)
			defer s.close()
			for err == nil { // a step does not try again
				_, _, err = s.step()
			}
			require.ErrorIs(t, err, ErrUnavailable)
			require.ErrorContains(t, err, tt.said)
			require.NotErrorIs(t, err, source.ErrGone)
		})
	}
}

// Redirects of the data are followed, but not into the open.
func TestRedirectsOfData(t *testing.T) {
	t.Parallel()
	data := xorb.Append(nil, []byte("hello"))
	for name, tt := range map[string]struct {
		to string
		ok bool
	}{
		"elsewhere":   {"/data", true},
		"in circles":  {"/away", false},
		"nowhere":     {"", false},
		"to the disk": {"file:///etc/passwd", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var srv *httptest.Server
			srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/data":
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
				case "/away":
					w.Header().Set("Location", tt.to)
					w.WriteHeader(http.StatusFound)
				default:
					_, _ = w.Write(wire(`{"terms":[{"hash":"A","unpacked_length":5,"range":{"start":0,"end":1}}],
						"xorbs":{"A":[{"url":"` + srv.URL + `/away","ranges":[{"chunks":{"start":0,"end":1},"bytes":{"start":0,"end":12}}]}]}}`))
				}
			}))
			t.Cleanup(srv.Close)
			client := New(Config{RetryWait: time.Millisecond, Token: func(context.Context, ref.Entry) (Token, error) {
				return Token{CAS: srv.URL, Access: "a", Expires: time.Now().Add(time.Hour)}, nil
			}})
			var got []byte
			var last error
			for c, err := range client.Chunks(t.Context(), ref.Entry{Blob: ref.Blob{Size: 5, Xet: ref.XetHash(hashA)}}, 0, 5) {
				got, last = append(got, c.Data...), err
			}
			if tt.ok {
				require.NoError(t, last)
				require.Equal(t, "hello", string(got))
			} else {
				require.ErrorIs(t, last, ErrUnavailable)
			}
		})
	}
}
