package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	wineRepo   = "acme/windows"
	wineFile   = "onnx/model.bin"
	wineDevice = "aux.json"
)

// TestUnderWine has the program for Windows do what Debian's wine lets it: it asks the
// Hub, reads a cache, and refuses what Windows cannot have. Wine takes 700 MB, so it is
// not asked for: the story is told where it is installed. Version 8 of it removes no
// files for Go (it lacks FileDispositionInformationEx), and opens no UDP sockets (it
// lacks SIO_UDP_NETRESET); so nothing is fetched here and no node runs.
func TestUnderWine(t *testing.T) {
	if _, err := exec.LookPath("wine"); err != nil {
		t.Skip("wine is not installed")
	}
	l := New(t, Options{Hosts: 1})
	hub := l.NewHub("--synthetic", wineRepo+"/"+wineFile+"=300000@1", "--synthetic", wineRepo+"/"+wineDevice+"=700@2")
	h := l.Hosts[0]
	h.Env = map[string]string{"HF_HUB_DISABLE_SYMLINKS": "1"}
	held := get(t, h, wineRepo, wineFile)
	windows := wine(t, h)

	require.Contains(t, windows("--version").Stdout, "hffs version")
	require.Equal(t, 9, windows("status").Code)
	r := windows("ls", wineRepo, wineFile)
	require.Zero(t, r.Code, "%s", r)
	require.Equal(t, `Z:`+strings.ReplaceAll(held.Path, "/", `\`), strings.TrimSpace(r.Stdout))
	r = windows("get", wineRepo, wineFile)
	require.Zero(t, r.Code, "what is here is not fetched: %s", r)

	sent := hub.AllBytes()
	r = windows("get", wineRepo, wineDevice)
	require.Equal(t, 6, r.Code, "%s", r)
	require.Contains(t, r.Stderr, `"aux.json" is the name of a device there`)
	require.Equal(t, sent, hub.AllBytes(), "it is refused before it is fetched")
	r = windows("where", wineRepo, wineDevice)
	require.Zero(t, r.Code, "%s", r)
	require.Contains(t, r.Stdout, "the Hub")
}

// wine is hffs for Windows on a host, which sees the host's files as disk Z.
func wine(t *testing.T, h *Host) func(args ...string) Result {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "hffs.exe")
	build := exec.Command("go", "build", "-trimpath", "-o", exe, "hffs")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	w := h.As("wine")
	prefix := filepath.Join(w.Dir, "prefix")
	w.Env = map[string]string{
		"HF_HOME":    `Z:` + strings.ReplaceAll(h.Home(), "/", `\`),
		"WINEPREFIX": prefix, "WINEDEBUG": "-all", "DISPLAY": "",
	}
	t.Cleanup(func() { w.Run("sh", "-c", "PATH=$PATH:/usr/lib/wine wineserver --kill") })
	r := w.Run("wine", "wineboot", "--init")
	require.Zero(t, r.Code, "%s", r)
	require.NoError(t, completeWine(prefix))
	return func(args ...string) Result { return w.Run("wine", append([]string{exe}, args...)...) }
}
