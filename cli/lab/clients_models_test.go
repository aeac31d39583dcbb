package lab

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pretrainedJSON is what testdata/pretrained.py prints.
type pretrainedJSON struct {
	Version, Model string
	Tokens         []string
	Dimensions     int
	Similarity     []float64
}

// The real model is loaded by transformers, by way of a node that has never seen it
// and whose neighbour holds it.
func TestTransformers(t *testing.T) {
	dir := t.TempDir()
	l := New(t, Options{Hosts: 2})
	files := realModel(t, dir)
	hub := l.NewHub("--dir", dir, "--xet")
	a, b := l.Hosts[0], l.Hosts[1]
	b.Up()
	for _, file := range files {
		get(t, b, realRepo, file)
	}
	for _, story := range []struct {
		version, python string
		args            []string
	}{
		{"5.23.0", python(t), nil},
		{"4.57.6", legacyPython(t), []string{"flax"}},
	} {
		t.Run(story.version, func(t *testing.T) {
			node := a.As(story.version)
			defer node.Up("-vv").Stop()
			meet(t, 5*time.Second, 1, node)
			announced(t, node, b, realRepo, "model.safetensors")
			sent := hub.AllBytes()
			args := append([]string{script(t, "pretrained.py"), realRepo}, story.args...)
			r := read[pretrainedJSON](t, node.asking("client").Run(story.python, args...))
			require.Equal(t, story.version, r.Version)
			require.Equal(t, "bert", r.Model)
			require.Equal(t, []string{"una", "##ffa", "##ble"}, r.Tokens)
			require.Equal(t, 384, r.Dimensions)
			require.InDeltaSlice(t, published, r.Similarity, 1e-3)
			require.Equal(t, sent, hub.AllBytes(), "the Hub sends nothing that the neighbour has")
			nothingWrong(t, node.Cache())
		})
	}
	onlyNodes(t, hub)
}

// datasetJSON is what testdata/dataset.py prints.
type datasetJSON struct {
	Splits      map[string]int
	Text        string
	Rows        int
	Sum         int
	Streamed    []int
	SumStreamed int `json:"sum_streamed"`
}

func TestDatasets(t *testing.T) {
	const lines, table, parquet, rows = "acme/lines", "acme/table", "data/train-00000-of-00001.parquet", 300_000
	py, dir := python(t), t.TempDir()
	lay(t, filepath.Join(dir, "datasets", lines), map[string]string{
		"README.md":   "# lines\n",
		"train.jsonl": strings.Repeat(`{"text": "to learn from"}`+"\n", 1000),
		"test.jsonl":  strings.Repeat(`{"text": "to test by"}`+"\n", 100),
	})
	lay(t, filepath.Join(dir, "datasets", table), map[string]string{"README.md": "# table\n", parquet: ""})
	run(t, py, "-c", fmt.Sprintf("import sys, pyarrow as a, pyarrow.parquet as p; "+
		"p.write_table(a.table({'number': [i * i %% 1000003 for i in range(%d)]}), sys.argv[1])", rows),
		filepath.Join(dir, "datasets", table, parquet))
	// The library looks for a host "datasets-server.127.0.0.1" several times. Without a
	// route it hears at once that there is none, as from any name server that answers.
	l := New(t, Options{Hosts: 2, NoRoute: true})
	hub := l.NewHub("--dir", dir, "--xet")
	a, b := l.Hosts[0], l.Hosts[1]
	a.Up("-vv")
	b.Up()
	get(t, b, table, parquet, "--repo-type", "dataset")
	meet(t, 5*time.Second, 1, a)
	announced(t, a, b, table, parquet, "--repo-type", "dataset")
	sent := hub.Bytes("datasets/"+table, parquet)
	r := read[datasetJSON](t, a.asking("client").Run(py, script(t, "dataset.py"), lines, table))
	sum := 0
	for i := range rows {
		sum += i * i % 1000003
	}
	require.Equal(t, datasetJSON{
		Splits: map[string]int{"train": 1000, "test": 100}, Text: "to test by",
		Rows: rows, Sum: sum, Streamed: []int{0, 1, 4}, SumStreamed: sum,
	}, r)
	require.Equal(t, sent, hub.Bytes("datasets/"+table, parquet), "the Hub sends nothing that the neighbour has")
	onlyNodes(t, hub)
}
