package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cli/control"
)

func TestParseWant(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]control.Want{
		"gpt2":                                  {Repo: "gpt2", RepoType: "model", Revision: "main"},
		"  org/name@refs/pr/1\t*.json  # why":   {Repo: "org/name", RepoType: "model", Revision: "refs/pr/1", Include: []string{"*.json"}},
		"datasets/org/name \"a b/\" !x.csv":     {Repo: "org/name", RepoType: "dataset", Revision: "main", Include: []string{"a b/"}, Exclude: []string{"x.csv"}},
		"space/org/name a#b '#c' 'it''s' \"'\"": {Repo: "org/name", RepoType: "space", Revision: "main", Include: []string{"a#b", "#c", "its", "'"}},
		"\ufefforg/name@":                       {Repo: "org/name@", RepoType: "model", Revision: "main"},
	} {
		got, ok, err := parseWant(line)
		require.NoError(t, err, line)
		require.True(t, ok, line)
		require.Equal(t, want, got, line)
	}
	for _, line := range []string{"", "   ", "# only words", "\t#x"} {
		_, ok, err := parseWant(line)
		require.NoError(t, err)
		require.False(t, ok, line)
	}
	_, _, err := parseWant(`org/name "not closed`)
	require.ErrorContains(t, err, "quote")
}

func FuzzParseWant(f *testing.F) {
	f.Add(`datasets/org/name@v1 "a b" !c # d`)
	f.Fuzz(func(t *testing.T, line string) {
		if w, ok, err := parseWant(line); ok && err == nil {
			require.NotEmpty(t, w.RepoType)
		}
	})
}

func TestClosing(t *testing.T) {
	t.Parallel()
	require.Empty(t, closing(control.Done{}))
	d := control.Done{
		Files: 3, Bytes: 100,
		Sources: []control.Source{{Kind: "peer", Name: "desk7", Bytes: 60}, {Kind: "hub", Name: "hf", Bytes: 30}, {Kind: "local", Name: "cache", Bytes: 10}},
		Repos:   []control.DoneRepo{{Files: []control.DoneFile{{How: "copy"}, {How: "copy"}, {How: "hardlink"}}}},
	}
	require.Equal(t, "3 files, 100 B, 60% from desk7, 30% from the Hub, 10% already here, in the folder: 1 hard link and 2 copies", closing(d))
}
