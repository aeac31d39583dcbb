package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	ggufRepo  = "acme/llama-gguf"
	ggufFile  = "llama-Q4_K_M.gguf"
	ggufSize  = 30_000_000
	toolsFile = "model.safetensors"
	toolsDeep = "onnx/config.json"
)

// neighbour is a lab in which B holds two models and A's node, which has never seen
// them, is asked by tools. The Hub offers them by Xet as well.
func neighbour(t *testing.T) (hub *Hub, node *Process, held map[string]gotJSON) {
	t.Helper()
	l := New(t, Options{Hosts: 2})
	hub = l.NewHub("--xet", "--synthetic", bigRepo+"/"+toolsFile+"=24000000@1", "--synthetic", bigRepo+"/"+toolsDeep+"=700@2",
		"--synthetic", ggufRepo+"/"+ggufFile+"="+fmt.Sprint(ggufSize)+"@3", "--synthetic", ggufRepo+"/mmproj-f16.gguf=500000@4",
		"--synthetic", ggufRepo+"/README.md=900@5")
	a, b := l.Hosts[0], l.Hosts[1]
	b.Up()
	held = map[string]gotJSON{}
	for _, f := range []string{bigRepo + " " + toolsFile, bigRepo + " " + toolsDeep,
		ggufRepo + " " + ggufFile, ggufRepo + " mmproj-f16.gguf", ggufRepo + " README.md"} {
		repo, file, _ := strings.Cut(f, " ")
		held[file] = get(t, b, repo, file)
	}
	node = a.Up("-vv")
	meet(t, 5*time.Second, 1, a)
	for _, g := range held {
		announced(t, a, b, g.Repo, g.File)
	}
	return hub, node, held
}

func TestToolsOfOthers(t *testing.T) {
	hub, node, held := neighbour(t)
	sent := hub.AllBytes()
	t.Run("huggingface.js", func(t *testing.T) { javaScript(t, node, held) })
	t.Run("curl", func(t *testing.T) { curls(t, node, held[toolsFile]) })
	t.Run("llama.cpp", func(t *testing.T) { llama(t, node, held) })
	require.Equal(t, sent, hub.AllBytes(), "all bytes came from the neighbour")
	hub.Down()
	t.Run("llama.cpp, the Hub is away", func(t *testing.T) { llama(t, node, held) })
	t.Run("llama.cpp of former times, the Hub is away", func(t *testing.T) { formerLlama(t, node, held) })
	t.Run("huggingface.js, the Hub is away", func(t *testing.T) { javaScript(t, node, held) })
}

// saidJSON is what testdata/hub.js prints.
type saidJSON struct {
	Listed        map[string]int64
	Sums          map[string]string
	There, Absent bool
	Xet           bool
	Nothing       any
	Size          int64
	Cached        string
	Snapshot      string
}

func javaScript(t *testing.T, node *Process, held map[string]gotJSON) {
	if _, err := os.Stat(filepath.Join(npmFolder(t), "node_modules")); err != nil {
		require.NotEqual(t, "1", os.Getenv("HFFS_REQUIRE_LAB"), "%v; make venv sets it up", err)
		t.Skipf("no JavaScript client: %v; make venv sets it up", err)
	}
	script, err := filepath.Abs("testdata/hub.js")
	require.NoError(t, err)
	h := tool(t, node, "js-"+fmt.Sprint(time.Now().UnixNano()))
	r := h.Run("node", script, bigRepo, toolsFile, toolsDeep, filepath.Join(h.Dir, "cache"))
	require.Zero(t, r.Code, "%s", r)
	t.Logf("in %v", r.Took)
	said := decode[saidJSON](t, r)
	large, small := sumOf(t, held[toolsFile].Path), sumOf(t, held[toolsDeep].Path)
	require.Equal(t, map[string]int64{toolsFile: 24_000_000, "onnx": -1, toolsDeep: 700}, said.Listed)
	require.True(t, said.There)
	require.False(t, said.Absent)
	require.Nil(t, said.Nothing)
	require.False(t, said.Xet, "no word of Xet")
	require.EqualValues(t, 24_000_000, said.Size)
	require.Equal(t, large, said.Sums["downloadFile"])
	require.Equal(t, small, said.Sums["downloadFileToCacheDir"])
	require.Equal(t, large, said.Sums["snapshotDownload"])
	require.Equal(t, small, said.Sums["snapshotDownloadSmall"])
	slice := readAt(t, held[toolsFile].Path, 1_000_000, 2_000_000)
	part := filepath.Join(h.Dir, "slice")
	require.NoError(t, os.WriteFile(part, slice, 0o644))
	require.Equal(t, sumOf(t, part), said.Sums["slice"])
	commit := "/snapshots/" + held[toolsFile].Commit
	require.True(t, strings.HasSuffix(said.Snapshot, commit), said.Snapshot)
	require.Contains(t, said.Cached, commit, "the commit that both ways name is one")
}

// curls downloads with curl as people do: by pieces, broken off and taken up again.
func curls(t *testing.T, node *Process, g gotJSON) {
	h := tool(t, node, "curl")
	url := asHub(t, node) + "/" + g.Repo + "/resolve/main/" + g.File
	into := filepath.Join(h.Dir, "file")

	slow := h.Start("curl", "-sS", "--fail", "--limit-rate", "4M", "-o", into, url)
	Eventually(t, time.Minute, "some of it is there", func() bool {
		info, err := os.Stat(into)
		return err == nil && info.Size() > 2_000_000
	})
	slow.Kill()
	part, err := os.Stat(into)
	require.NoError(t, err)
	require.Less(t, part.Size(), g.Size, "it was killed half-way")
	r := h.Run("curl", "-sS", "--fail", "-C", "-", "-o", into, "-w", "%{http_code} %{size_download}", url)
	require.Zero(t, r.Code, "%s", r)
	require.Equal(t, fmt.Sprintf("206 %d", g.Size-part.Size()), r.Stdout)
	require.Equal(t, g.ETag, sumOf(t, into))

	for _, c := range []struct {
		asks           string
		status         string
		off, n         int64
		range_, length string
	}{
		{"5-9", "206", 5, 5, fmt.Sprintf("bytes 5-9/%d", g.Size), "5"},
		{"0-0", "206", 0, 1, fmt.Sprintf("bytes 0-0/%d", g.Size), "1"},
		{"-7", "206", g.Size - 7, 7, fmt.Sprintf("bytes %d-%d/%d", g.Size-7, g.Size-1, g.Size), "7"},
		{fmt.Sprintf("%d-%d", g.Size-3, g.Size+1000), "206", g.Size - 3, 3, fmt.Sprintf("bytes %d-%d/%d", g.Size-3, g.Size-1, g.Size), "3"},
		{fmt.Sprintf("%d-", g.Size), "416", 0, -1, fmt.Sprintf("bytes */%d", g.Size), ""},
	} {
		r := h.Run("curl", "-sS", "-r", c.asks, "-o", into, "-w", "%{http_code}|%header{content-range}|%header{content-length}", url)
		require.Zero(t, r.Code, "%s", r)
		said := strings.Split(r.Stdout, "|")
		require.Equal(t, c.status, said[0], c.asks)
		require.Equal(t, c.range_, said[1], c.asks)
		if c.n >= 0 {
			require.Equal(t, c.length, said[2], c.asks)
			got, err := os.ReadFile(into)
			require.NoError(t, err)
			require.Equal(t, readAt(t, g.Path, c.off, c.n), got, c.asks)
		}
	}
}

// web asks as llama.cpp does, and wants a status.
func web(t *testing.T, h *Host, status string, args ...string) string {
	t.Helper()
	r := h.Run("curl", append([]string{"-sSL", "--max-time", "60", "-A", "llama-cpp/b9000", "-w", "\n%{http_code}"}, args...)...)
	require.Zero(t, r.Code, "%s", r)
	at := strings.LastIndexByte(r.Stdout, '\n')
	require.Equal(t, status, r.Stdout[at+1:], "%v: %s", args, r)
	return r.Stdout[:at]
}

// llama replays what "llama-server -hf" asks for since March 2026
// (hub-protocol.md, 1.4): branches, one page of the tree, then HEAD and GET of the
// file in that commit, which it goes on with after a break.
func llama(t *testing.T, node *Process, held map[string]gotJSON) {
	h, g := tool(t, node, "llama"), held[ggufFile]
	at := asHub(t, node)
	var refs struct {
		Branches []struct{ Name, TargetCommit string }
	}
	require.NoError(t, json.Unmarshal([]byte(web(t, h, "200", at+"/api/models/"+ggufRepo+"/refs")), &refs))
	require.Len(t, refs.Branches, 1)
	require.Equal(t, "main", refs.Branches[0].Name)
	require.Equal(t, g.Commit, refs.Branches[0].TargetCommit)

	var tree []struct {
		Type, Path, OID, XetHash string
		Size                     int64
		LFS                      struct{ OID string }
	}
	text := web(t, h, "200", at+"/api/models/"+ggufRepo+"/tree/"+g.Commit+"?recursive=true")
	require.NoError(t, json.Unmarshal([]byte(text), &tree), "%s", text)
	require.Len(t, tree, 3)
	for _, f := range tree {
		require.Empty(t, f.XetHash)
		require.Equal(t, held[f.Path].Size, f.Size)
		require.Contains(t, []string{f.OID, f.LFS.OID}, held[f.Path].ETag, "%s: names of blobs are ids of files", f.Path)
	}
	for _, name := range []string{ggufFile, "mmproj-f16.gguf"} {
		llamaFile(t, h, at+"/"+ggufRepo+"/resolve/"+g.Commit+"/"+name, held[name])
	}
}

// llamaFile is HEAD, GET broken off, and GET of the rest.
func llamaFile(t *testing.T, h *Host, url string, g gotJSON) {
	t.Helper()
	head := web(t, h, "200", "-I", url)
	require.Contains(t, head, fmt.Sprintf("Content-Length: %d\r\n", g.Size))
	require.Contains(t, head, "Accept-Ranges: bytes\r\n")
	require.Contains(t, strings.ToLower(head), "etag: \""+g.ETag+"\"\r\n")
	require.NotContains(t, head, "HTTP/1.1 30", "it is not sent elsewhere")
	into := filepath.Join(h.Dir, filepath.Base(g.File)+".downloadInProgress")
	part := g.Size / 3
	require.NoError(t, os.WriteFile(into, readAt(t, g.Path, 0, part), 0o644))
	rest := filepath.Join(h.Dir, "rest")
	web(t, h, "206", "-H", fmt.Sprintf("Range: bytes=%d-", part), "-o", rest, url)
	got, err := os.ReadFile(rest)
	require.NoError(t, err)
	require.Equal(t, readAt(t, g.Path, part, g.Size-part), got)
	web(t, h, "200", "-o", into, url)
	require.Equal(t, sumOf(t, g.Path), sumOf(t, into))
}

// formerLlama is what builds before that ask for: a manifest that names the file.
// The Hub has its own, which the stand-in has not.
func formerLlama(t *testing.T, node *Process, held map[string]gotJSON) {
	h, at := tool(t, node, "former-llama"), asHub(t, node)
	var said struct {
		GGUFFile, MMProjFile struct {
			RFilename string
			Size      int64
		}
	}
	for _, tag := range []string{"latest", "Q4_K_M", "q4_k_m"} {
		text := web(t, h, "200", "-H", "Accept: application/json", at+"/v2/"+ggufRepo+"/manifests/"+tag)
		require.NoError(t, json.Unmarshal([]byte(text), &said), "%s", text)
		require.Equal(t, ggufFile, said.GGUFFile.RFilename, tag)
		require.Equal(t, "mmproj-f16.gguf", said.MMProjFile.RFilename, tag)
	}
	web(t, h, "400", at+"/v2/"+ggufRepo+"/manifests/Q8_0")
	llamaFile(t, h, at+"/"+ggufRepo+"/resolve/main/"+ggufFile, held[ggufFile])
}
