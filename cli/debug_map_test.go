package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cli/ui"
)

// runMap runs "hffs debug map" with further arguments. Tests that call it cannot
// run beside each other: the library writes to its own global flags.
func runMap(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{ui: ui.Streams{Out: &stdout, Err: &stderr}, getenv: func(string) string { return "" }}
	code = a.run(t.Context(), append([]string{"hffs", "debug", "map"}, args...))
	return code, stdout.String(), stderr.String()
}

func TestDebugMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zeros")
	require.NoError(t, os.WriteFile(path, make([]byte, 131073), 0o600))
	zero := "df93298cdbf67cd507aed28d6290c0cf7f9aa0aa88dfa629cffcf98680659410" // of one zero byte

	code, out, errs := runMap(t, path, "--json", "--rule", "legacy")
	require.Zero(t, code, errs)
	var got struct {
		Rule     string
		Size     int64
		Chunks   [][2]any
		FileHash string `json:"file_hash"`
		XorbHash string `json:"xorb_hash"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Equal(t, "legacy", got.Rule)
	require.EqualValues(t, 131073, got.Size)
	require.Len(t, got.Chunks, 2)
	require.EqualValues(t, 131072, got.Chunks[0][0])
	require.Equal(t, [2]any{1.0, zero}, got.Chunks[1])
	require.Len(t, got.FileHash, 64)
	require.Len(t, got.XorbHash, 64)

	code, out, _ = runMap(t, path)
	require.Zero(t, code)
	for _, part := range []string{zero, "131072", "current", got.FileHash, got.XorbHash} {
		require.Contains(t, out, part)
	}
}

func TestDebugMapOfAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	code, out, errs := runMap(t, "--json", path)
	require.Zero(t, code, errs)
	none := strings.Repeat("0", 64)
	require.JSONEq(t, `{"rule":"current","size":0,"chunks":[],"file_hash":"`+none+`","xorb_hash":"`+none+`"}`, out)
}

func TestDebugMapSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no file named": {nil, "takes one file"},
		"two files":     {[]string{path, path}, "takes one file"},
		"no such file":  {[]string{filepath.Join(dir, "none")}, "there is no file"},
		"a folder":      {[]string{dir}, "is a folder"},
		"bad rule":      {[]string{path, "--rule", "newest"}, "neither current nor legacy"},
		"bad flag":      {[]string{path, "--rules"}, "rules"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := runMap(t, c.args...)
			require.Equal(t, exitUsage, code)
			require.Empty(t, out)
			require.Contains(t, errs, c.says)
		})
	}
}
