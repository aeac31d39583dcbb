package disk

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOffWindows(t *testing.T) {
	t.Parallel()
	for _, can := range []string{
		"config.json", "onnx/model.onnx", ".gitattributes", "a b/c", "console", "com", "com0", "com10.txt", "lpt", "auxiliary/nullable",
		"日本/模型.bin", "a%20b#c", "x..y", "null", "¹",
	} {
		require.Empty(t, OffWindows(can), can)
	}
	for cannot, why := range map[string]string{
		"con":              "device",
		"CON.txt":          "device",
		"aux .c":           "device",
		"data/Nul.tar.gz":  "device",
		"prn/weights.bin":  "device",
		"COM1":             "device",
		"lpt9.log":         "device",
		"com²":             "device",
		"conout$":          "device",
		"a.":               "dot or a blank",
		"folder./x":        "dot or a blank",
		"blank ":           "dot or a blank",
		"12:30.txt":        "one of",
		"what?":            "one of",
		"a\"b":             "one of",
		"x/<tag>/y":        "one of",
		"stream.bin:other": "one of",
	} {
		require.Contains(t, OffWindows(cannot), why, cannot)
	}
}

func TestTwin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, root.MkdirAll("Data/deep", 0o700))
	require.NoError(t, root.WriteFile("Data/deep/README.md", nil, 0o600))
	for name, want := range map[string]string{
		"Data/deep/README.md": "",
		"Data/deep/readme.md": "Data/deep/README.md",
		"data/deep/README.md": "Data",
		"Data/Deep/other":     "Data/deep",
		"Data/deep/other":     "",
		"none/README.md":      "",
	} {
		require.Equal(t, want, Twin(root, name, true), name)
	}
	_, err = os.Lstat(filepath.Join(dir, "DATA"))
	folds := err == nil
	require.Equal(t, folds, Twin(root, "Data/deep/readme.md", false) != "", "what this disk does")
	if runtime.GOOS == "windows" {
		require.True(t, folds)
	}
}
