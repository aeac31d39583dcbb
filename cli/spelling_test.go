package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpelled(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]spelling{
		"gpt2":                              {repo: "gpt2"},
		"org/name":                          {repo: "org/name"},
		"org/name@v1":                       {repo: "org/name", revision: "v1"},
		"org/name@refs/pr/1":                {repo: "org/name", revision: "refs/pr/1"},
		"org/name@":                         {repo: "org/name@"},
		"datasets/org/name@v1":              {repo: "org/name", repoType: "dataset", revision: "v1"},
		"spaces/org/name":                   {repo: "org/name", repoType: "space"},
		"a/b/c":                             {repo: "a/b/c"},
		"":                                  {},
		"https://huggingface.co/org/name":   {repo: "org/name"},
		"https://huggingface.co/org/name/":  {repo: "org/name"},
		"https://huggingface.co/gpt2":       {repo: "gpt2"},
		"http://hf-mirror.com/org/name?x=y": {repo: "org/name"},
		"https://huggingface.co/datasets/org/name/tree/main":            {repo: "org/name", repoType: "dataset", revision: "main"},
		"https://huggingface.co/org/name/tree/v1/onnx/int8":             {repo: "org/name", revision: "v1", file: "onnx/int8/"},
		"https://huggingface.co/org/name/blob/main/a%20b.json":          {repo: "org/name", revision: "main", file: "a b.json"},
		"https://huggingface.co/gpt2/resolve/refs%2Fpr%2F1/config.json": {repo: "gpt2", revision: "refs/pr/1", file: "config.json"},
		"https://huggingface.co/spaces/org/name/raw/main/app.py#L3":     {repo: "org/name", repoType: "space", revision: "main", file: "app.py"},
		"https://huggingface.co/org/name/discussions/3":                 {repo: "https://huggingface.co/org/name/discussions/3"},
		"hf://datasets/org/name@v1/data/*.parquet":                      {repo: "org/name", repoType: "dataset", revision: "v1", file: "data/*.parquet"},
		"hf://datasets/org/name/raw/train.csv":                          {repo: "org/name", repoType: "dataset", file: "raw/train.csv"},
		"hf://org/name/tree/x/y":                                        {repo: "org/name", file: "tree/x/y"},
		"hf://org/name@refs/pr/3/f/g":                                   {repo: "org/name", revision: "refs/pr/3", file: "f/g"},
		"hf://org/name@refs/convert/parquet":                            {repo: "org/name", revision: "refs/convert/parquet"},
		"https://huggingface.co/org/raw/blob/main/x":                    {repo: "org/raw", revision: "main", file: "x"},
		"datasets":               {repo: "datasets"},
		"hf://org/name":          {repo: "org/name"},
		"https://huggingface.co": {},
	} {
		require.Equal(t, want, spelled(arg), "%s", arg)
	}
}

func FuzzSpelled(f *testing.F) {
	f.Add("hf://datasets/org/name@v1/a")
	f.Add("https://huggingface.co/org/name/blob/main/%zz")
	f.Fuzz(func(t *testing.T, arg string) {
		if s := spelled(arg); s.repo == "" {
			require.Empty(t, s.file)
		}
	})
}
