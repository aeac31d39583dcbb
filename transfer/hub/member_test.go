package hub

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestWithoutMember(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`:                                    `{}`,
		`[]`:                                    `[]`,
		`{"xetHash":"a"}`:                       `{}`,
		`{"xetHash":"a","b":1}`:                 `{"b":1}`,
		`{"b":1,"xetHash":"a"}`:                 `{"b":1}`,
		`{"b":1, "xetHash" : "a" , "c":2 }`:     `{"b":1,"c":2}`,
		`{"xetHash":1,"xetHash":2}`:             `{}`,
		`{"a":0,"xetHash":1,"xetHash":2,"b":0}`: `{"a":0,"b":0}`,
		`{"xetHash":{"x":["}",{"a":"\"]"}]},"b":[1,2]}`: `{"b":[1,2]}`,
		`{"xetHash":[],"b":1}`:                          `{"b":1}`,
		`{"a":[{"xetHash":null},{"xetHash":-1.5e3}]}`:   `{"a":[{},{}]}`,
		`{"a":"xetHash"}`:                               `{"a":"xetHash"}`,
		`["xetHash","xetHash"]`:                         `["xetHash","xetHash"]`,
		`{"a":"\"xetHash\":1,"}`:                        `{"a":"\"xetHash\":1,"}`,
		`{"a":"\\","xetHash":"\\"}`:                     `{"a":"\\"}`,
		`{"axetHash":1,"xetHashb":2}`:                   `{"axetHash":1,"xetHashb":2}`,
		"\n [ 1 ,\t2, \"a  b\" ]\n":                     `[1,2,"a  b"]`,
		`not { JSON, "xetHash": 1`:                      `not { JSON, "xetHash": 1`,
		`"xetHash"`:                                     `"xetHash"`,
		``:                                              ``,
		`{"a":1,"xetHash":"cut`:                         `{"a":1`,
	} {
		got, err := io.ReadAll(withoutMember(strings.NewReader(in), "xetHash"))
		require.NoError(t, err, in)
		require.Equal(t, want, string(got), in)
		got, err = io.ReadAll(withoutMember(iotest.OneByteReader(strings.NewReader(in)), "xetHash"))
		require.NoError(t, err, in)
		require.Equal(t, want, string(got), in)
	}
	broken := io.MultiReader(strings.NewReader(`{"a":1,"xetHash":"`), iotest.ErrReader(io.ErrUnexpectedEOF))
	_, err := io.ReadAll(withoutMember(broken, "xetHash"))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// What is left is what was there, without the members.
func FuzzWithoutMember(f *testing.F) {
	for _, s := range []string{`{"xetHash":1,"a":[{"xetHash":"x"}]}`, `[1,{"b":"\\\"","xetHash":{}}]`, `{"a":{"xetHash":[]},"xetHash":null}`, `[",",{}]`, `{"":0,"xetHash":{"xetHash":"}"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := io.ReadAll(withoutMember(bytes.NewReader(in), "xetHash"))
		require.NoError(t, err)
		require.LessOrEqual(t, len(out), len(in))
		if !json.Valid(in) || bytes.Contains(in, []byte(`\u`)) {
			return
		}
		require.Equal(t, prune(parse(t, in)), parse(t, out))
	})
}

func parse(t *testing.T, b []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	return v
}

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "xetHash")
		for _, child := range v {
			prune(child)
		}
	case []any:
		for _, child := range v {
			prune(child)
		}
	}
	return v
}

func TestParseLinks(t *testing.T) {
	t.Parallel()
	got := parseLinks([]string{` <https://a/x?y=1,2>;rel=next ; title="a, <b>",<z>; REL="Foo xet-auth"`, `nonsense`, `<open`, `<>`})
	require.Equal(t, []relation{{"https://a/x?y=1,2", `;rel=next ; title="a, <b>"`}, {"z", `; REL="Foo xet-auth"`}, {"", ""}}, got)
	require.True(t, got[0].is("next"))
	require.False(t, got[0].is("prev"))
	require.True(t, got[1].is("foo") && got[1].is("xet-auth"))
	require.False(t, got[2].is(""))
	require.Equal(t, `<https://a/x?y=1,2>; rel=next ; title="a, <b>"`, got[0].String())
	require.Equal(t, `<>`, got[2].String())
}

func FuzzParseLinks(f *testing.F) {
	f.Add(`<https://a/x?y=1,2>; rel="next", <z>; rel="xet-auth"`)
	f.Add(`<a>;"`)
	f.Add(`<<>>,<,>`)
	f.Fuzz(func(t *testing.T, s string) {
		all := parseLinks([]string{s})
		require.LessOrEqual(t, len(all), strings.Count(s, "<"))
		for _, l := range all {
			again := parseLinks([]string{l.String()})
			require.Len(t, again, 1, "what was read reads the same again")
			require.Equal(t, l.target, again[0].target)
			require.Equal(t, l.is("next"), again[0].is("next"))
		}
	})
}

func FuzzParseInfo(f *testing.F) {
	f.Add([]byte(`{"id":"a/b","sha":"607a30d783dfa663caf39e06633721c8d4cfcd7e","private":false,"gated":"auto","siblings":[{"rfilename":"../x"},{"rfilename":"x"}]}`))
	f.Add([]byte(`{"id":"a","gated":[],"private":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		i, err := parseInfo(body, "model")
		if err != nil {
			return
		}
		require.NotEmpty(t, i.ID)
		require.False(t, strings.HasPrefix(i.file, "/") || strings.Contains(i.file, ".."+"/"))
		if i.open() {
			require.Contains(t, strings.ToLower(string(body)), "false")
		}
	})
}

func FuzzAddPage(f *testing.F) {
	f.Add([]byte(`[{"type":"file","oid":"10c66461e4c109db5a2196bff4bb59be30396ed8","size":665,"path":"config.json"},{"type":"directory","oid":"","size":0,"path":"x"}]`))
	f.Add([]byte(`[{"type":"file","oid":"10c66461e4c109db5a2196bff4bb59be30396ed8","size":1,"lfs":{"oid":"248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707","size":5},"path":"a/../b","xetHash":"*"}]`))
	c, err := New(Config{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		files, err := c.addPage(t.Context(), nil, body)
		if err != nil {
			return
		}
		for _, l := range files {
			require.NotEmpty(t, l.Path)
			require.GreaterOrEqual(t, l.Blob.Size, int64(0))
			require.Contains(t, []int{40, 64}, len(l.Blob.ETag))
			require.Contains(t, []int{0, 64}, len(l.Blob.Xet))
		}
	})
}

func TestCameThroughUs(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]bool{
		"1.1 hffs": true, "1.1 squid, 1.1 hffs (x)": true, "2 cdn.example": false, "": false, "hffs": false, "1.1 hffsx": false,
	} {
		require.Equal(t, want, cameThroughUs(http.Header{"Via": {"1.0 first", v}}), v)
	}
}
