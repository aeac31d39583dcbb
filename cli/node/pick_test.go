package node

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/cli/control"
)

// As Python's fnmatch.fnmatchcase has it, and huggingface_hub with it.
func TestPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*.json", "config.json", true}, {"*.json", "sub/config.json", true}, {"*.json", "config.JSON", false},
		{"sub/", "sub/a/b", true}, {"sub/", "sub", false}, {"sub/*", "sub/a", true},
		{"a?c", "abc", true}, {"a?c", "a/c", true}, {"a?c", "ac", false}, {"?", "模", true},
		{"[ab].x", "a.x", true}, {"[!ab].x", "a.x", false}, {"[!ab].x", "c.x", true}, {"[a-c]", "b", true}, {"[c-a]", "b", false},
		{"[]]", "]", true}, {"[!]]", "]", false}, {"[a", "[a", true}, {"[a-]", "-", true}, {"[", "[", true},
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "a/b", true}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false},
		{"*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	} {
		require.Equal(t, c.want, pattern(c.pattern)(c.name), "%q %q", c.pattern, c.name)
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("*[a-z]?", "abc")
	f.Add("[!]", "[!]")
	f.Fuzz(func(_ *testing.T, p, name string) { pattern(p)(name) })
}

func TestPick(t *testing.T) {
	t.Parallel()
	var files []ref.Listed
	for _, path := range []string{"README.md", "config.json", "onnx/a.json", "onnx/model.bin", "[odd].txt", "o.txt"} {
		files = append(files, ref.Listed{Path: path})
	}
	for name, c := range map[string]struct {
		want    control.Want
		files   []string
		lacking []string
	}{
		"all":              {control.Want{}, []string{"README.md", "config.json", "onnx/a.json", "onnx/model.bin", "[odd].txt", "o.txt"}, nil},
		"names, patterns":  {control.Want{Include: []string{"README.md", "*.bin", "nope", "*.zip"}}, []string{"README.md", "onnx/model.bin"}, []string{"nope", "*.zip"}},
		"a name like one":  {control.Want{Include: []string{"[odd].txt"}}, []string{"[odd].txt", "o.txt"}, nil},
		"but not":          {control.Want{Include: []string{"*.json"}, Exclude: []string{"onnx/"}}, []string{"config.json"}, nil},
		"only what is out": {control.Want{Exclude: []string{"*o*"}}, []string{"README.md"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pick(c.want, files)
			var got []string
			for _, f := range p.files {
				got = append(got, f.Path)
			}
			require.Equal(t, c.files, got)
			require.Equal(t, c.lacking, p.lacking)
		})
	}
}
