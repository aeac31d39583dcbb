package ref

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNear(t *testing.T) {
	t.Parallel()
	all := []Repo{
		{Model, "acme/tiny"}, {Model, "acme/large"}, {Dataset, "acme/rows"}, {Model, "other/tiny"},
		{Model, "sentence-transformers/all-MiniLM-L6-v2"}, {Model, "gpt2"},
	}
	for name, c := range map[string]struct {
		wrote Repo
		meant []string
	}{
		"a letter too many":    {Repo{Model, "acme/tinny"}, []string{"acme/tiny"}},
		"letters swapped":      {Repo{Model, "acme/tniy"}, []string{"acme/tiny"}},
		"another owner":        {Repo{Model, "somebody/tiny"}, []string{"acme/tiny", "other/tiny"}},
		"another type":         {Repo{Model, "acme/rows"}, []string{"datasets/acme/rows"}},
		"other letters":        {Repo{Model, "Sentence-Transformers/all-minilm-l6-v2"}, []string{"sentence-transformers/all-MiniLM-L6-v2"}},
		"without its owner":    {Repo{Model, "tiny"}, []string{"acme/tiny", "other/tiny"}},
		"something else":       {Repo{Model, "zzz/qqqq"}, nil},
		"the one that is it":   {Repo{Model, "acme/large"}, nil},
		"a short one":          {Repo{Model, "gpt3"}, []string{"gpt2"}},
		"many slips":           {Repo{Model, "sentence-transformer/all-MiniLM-v2"}, []string{"sentence-transformers/all-MiniLM-L6-v2"}},
		"slips and other type": {Repo{Dataset, "acme/tinny"}, []string{"acme/tiny"}},
	} {
		var got []string
		for _, r := range Near(c.wrote, all) {
			got = append(got, r.String())
		}
		require.Equal(t, c.meant, got, name)
	}
}

func FuzzNear(f *testing.F) {
	f.Add("acme/tiny", "acme/tinny")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		require.Equal(t, distance(a, b), distance(b, a))
		require.Zero(t, distance(a, a))
		require.LessOrEqual(t, distance(a, b), max(len(a), len(b)))
	})
}
