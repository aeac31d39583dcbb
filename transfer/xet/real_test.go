package xet_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
	"hffs/transfer/xet"
)

// realClient is the Python client with its own Xet code.
type realClient struct{ python, home string }

// newRealClient is today's client. HFFS_VENV says where the venv is that has it;
// "make venv" sets one up.
func newRealClient(t *testing.T) realClient {
	t.Helper()
	venv := os.Getenv("HFFS_VENV")
	if venv == "" {
		home, err := os.UserCacheDir()
		require.NoError(t, err)
		venv = filepath.Join(home, "hffs-test", "venv")
	}
	c, err := clientIn(t, venv)
	if err != nil && os.Getenv("HFFS_REQUIRE_LAB") == "1" {
		require.FailNow(t, "the Python client is required here", "%v; make venv sets it up", err)
	}
	if err != nil {
		t.Skipf("no Python client: %v; make venv sets it up", err)
	}
	return c
}

func clientIn(t *testing.T, venv string) (realClient, error) {
	c := realClient{filepath.Join(venv, "bin", "python"), t.TempDir()}
	out, err := exec.Command(c.python, "-c", "import huggingface_hub, hf_xet").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w %s", err, out)
	}
	return c, err
}

// run gives a script a cache of its own, so that nothing is there already.
// The first argument is the endpoint.
func (c realClient) run(t *testing.T, answer any, env []string, script string, args ...string) {
	t.Helper()
	home, err := os.MkdirTemp(c.home, "")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), c.python, append([]string{filepath.Join("testdata", script)}, args...)...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "HF_HOME=" + home, "HF_ENDPOINT=" + args[0],
		"HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_TELEMETRY=1",
	}, env...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	require.NoError(t, err, "%s", said.String())
	require.NoError(t, json.Unmarshal(out, answer), "%s", out)
}

// The stand-in is faithful: a real client uploads into it and downloads from it,
// by every way there is. And what it holds then, chunks, xorbs and hashes that
// are not of our making, our client reads.
func TestWithARealClient(t *testing.T) {
	client := newRealClient(t)
	h, run, commits := uploaded(t, client)
	require.True(t, asked(h, "cas", "/v1/xorbs/default/"))
	require.True(t, asked(h, "cas", "/v1/shards"))
	for commit, files := range commits {
		t.Run("we read what it uploaded at "+string(commit[:8]), func(t *testing.T) { readAsWell(t, run, commit, files, chunk.Current) })
	}
	for _, way := range []struct {
		name          string
		env           []string
		fault         *standin.Fault
		asked, spared string // paths on the way, and off it
	}{
		{"by Xet", nil, nil, "/v2/reconstructions/", "/xet-bridge-us/"},
		{"by the first version of Xet", nil, &standin.Fault{Do: standin.FaultStatus, N: 404, Path: "/v2/*"}, "/v1/reconstructions/", "/xet-bridge-us/"},
		{"by a URL that expires", nil, &standin.Fault{Do: standin.FaultExpired, Path: "/xorbs/*", Times: 1}, "/xorbs/", "/xet-bridge-us/"},
		{"by the bridge", []string{"HF_HUB_DISABLE_XET=1"}, nil, "/xet-bridge-us/", "/v2/reconstructions/"},
	} {
		t.Run("it downloads "+way.name, func(t *testing.T) {
			h.Heal()
			if way.fault != nil {
				require.NoError(t, h.Break(*way.fault))
			}
			for commit, files := range commits {
				h.ResetLog()
				paths := []string{}
				for p := range files {
					paths = append(paths, p)
				}
				var got map[string]string
				client.run(t, &got, way.env, "download.py", append([]string{run.URL(), "acme/real", string(commit)}, paths...)...)
				require.Equal(t, files, got)
				require.True(t, asked(h, "", way.asked))
				require.False(t, asked(h, "", way.spared))
			}
		})
	}
}

// A client of the time of the legacy rule (huggingface_hub 0.34.4 with hf_xet
// 1.1.9) in the venv that HFFS_VENV_LEGACY names: what it uploads has other chunks
// than the rule of today makes, and is read just as well.
func TestWithALegacyClient(t *testing.T) {
	venv := os.Getenv("HFFS_VENV_LEGACY")
	if venv == "" {
		if os.Getenv("HFFS_REQUIRE_LAB") == "1" {
			t.Fatal("HFFS_VENV_LEGACY names no venv; make venv sets it up")
		}
		t.Skip("HFFS_VENV_LEGACY names no venv with huggingface_hub==0.34.4 and hf_xet==1.1.9")
	}
	client, err := clientIn(t, venv)
	require.NoError(t, err)
	_, run, commits := uploaded(t, client)
	for commit, files := range commits {
		readAsWell(t, run, commit, files, chunk.Legacy)
		var got map[string]string
		client.run(t, &got, nil, "download.py", run.URL(), "acme/real", string(commit), "noise.bin", "zeros.bin")
		require.Equal(t, map[string]string{"noise.bin": files["noise.bin"], "zeros.bin": files["zeros.bin"]}, got)
	}
}

// uploaded is a stand-in into which the client has uploaded two commits, with
// the sha256 of their files by path.
func uploaded(t *testing.T, client realClient) (*standin.Hub, *standin.Running, map[ref.Commit]map[string]string) {
	t.Helper()
	h := standin.New()
	h.Writer("hf_writer")
	run, err := h.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, run.Close()) })
	commits := map[ref.Commit]map[string]string{}
	client.run(t, &commits, nil, "upload.py", run.URL(), "hf_writer")
	require.Len(t, commits, 2)
	return h, run, commits
}

func asked(h *standin.Hub, host, path string) bool {
	return slices.ContainsFunc(h.Requests(), func(r standin.Request) bool {
		return (host == "" || r.Host == host) && strings.HasPrefix(r.Path, path) && r.Status/100 == 2
	})
}

// readAsWell reads every file that is offered by Xet: its bytes have the sha256
// that the uploader knows, and its chunks the hash that the Hub announces and
// are those of the uploader's rule.
func readAsWell(t *testing.T, run *standin.Running, commit ref.Commit, files map[string]string, rule chunk.Rule) {
	t.Helper()
	hubSide, err := hub.New(hub.Config{Endpoints: []string{run.URL()}})
	require.NoError(t, err)
	defer hubSide.Close()
	w := &world{hubSide: hubSide}
	c := xet.New(xet.Config{Token: w.token, RetryWait: time.Millisecond})
	defer c.Close()
	seen := 0
	for path, want := range files {
		e, err := hubSide.Resolve(t.Context(), ref.File{Repo: ref.Repo{Type: ref.Model, ID: "acme/real"}, Revision: string(commit), Path: path})
		require.NoError(t, err)
		if e.Blob.Xet == "" {
			require.NotContains(t, path, ".bin")
			continue
		}
		seen++
		var list []chunk.Chunk
		sum := sha256.New()
		var cut []chunk.Chunk
		cutter := chunk.NewCutter(func(_ chunk.Rule, c chunk.Chunk) { cut = append(cut, c) }, rule)
		for c, err := range c.Chunks(t.Context(), e, 0, e.Blob.Size) {
			require.NoError(t, err)
			list = append(list, c.Chunk)
			_, _ = sum.Write(c.Data)
			_, _ = cutter.Write(c.Data)
		}
		require.Equal(t, want, hex.EncodeToString(sum.Sum(nil)), path)
		require.NoError(t, cutter.Close())
		require.Equal(t, cut, list, path)
		m, err := chunk.Content(list)
		require.NoError(t, err)
		require.NoError(t, m.Verify(e.Blob.Xet, e.Blob.Size), path)
	}
	require.Equal(t, 5, seen)
}
