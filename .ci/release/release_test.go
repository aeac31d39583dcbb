package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var when = time.Unix(1_700_000_001, 0).UTC() // an odd second, which zip's own field cannot tell

// TestSameBytes builds twice from copies of the source, the second time in another
// folder, at another hour of the day and with other settings of Go.
func TestSameBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds hffs several times")
	}
	source := filepath.Join(t.TempDir(), "here")
	copySource(t, "../..", source)
	twice := []string{"linux/amd64", "linux/arm64"}
	first := release{source: source, out: filepath.Join(t.TempDir(), "dist"), version: "v0.0.0-test", when: when}
	require.NoError(t, first.make(twice))

	second := first
	second.source, second.out = filepath.Join(t.TempDir(), "elsewhere"), t.TempDir()
	copySource(t, source, second.source)
	t.Setenv("TZ", "Pacific/Auckland")
	t.Setenv("GOAMD64", "v3")
	t.Setenv("GOFLAGS", "-tags=nonsense")
	require.NoError(t, second.make(twice))

	names := listing(t, first.out)
	require.Equal(t, []string{"SHA256SUMS", "hffs_v0.0.0-test_linux_amd64.tar.gz", "hffs_v0.0.0-test_linux_arm64.tar.gz"}, names)
	require.Equal(t, names, listing(t, second.out))
	for _, name := range names {
		require.True(t, bytes.Equal(read(t, first.out, name), read(t, second.out, name)), "%s differs", name)
	}
	checkSums(t, first.out)
	tries(t, read(t, first.out, names[1]), source)
}

// copySource copies what a build reads.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(to, 0o700))
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range entries {
		if name := e.Name(); e.IsDir() && name[0] != '.' && name != "dist" {
			require.NoError(t, os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name))))
		} else if ending := filepath.Ext(name); e.Type().IsRegular() && (name == "LICENSE" || ending == ".go" || ending == ".mod" || ending == ".sum" || ending == ".md") {
			require.NoError(t, os.WriteFile(filepath.Join(to, name), read(t, from, name), 0o600))
		}
	}
}

// checkSums has the usual program check them.
func checkSums(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// tries unpacks an archive and runs the program where this machine can.
func tries(t *testing.T, archive []byte, source string) {
	t.Helper()
	const folder = "hffs_v0.0.0-test_linux_amd64/"
	files := untar(t, archive)
	require.Equal(t, read(t, source, "LICENSE"), files[folder+"LICENSE"])
	require.Equal(t, read(t, source, "README.zh.md"), files[folder+"README.zh.md"])
	require.Contains(t, string(files[folder+"THIRD-PARTY.txt"]), "github.com/hashicorp/memberlist v")
	for name, has := range map[string]string{
		"completions/hffs.bash": "complete", "completions/_hffs": "#compdef hffs", "completions/hffs.fish": "complete -c hffs",
		"completions/hffs.ps1": "Register-ArgumentCompleter", "man/man1/hffs.1": ".TH HFFS 1",
	} {
		require.Contains(t, string(files[folder+name]), has, name)
	}
	require.NotContains(t, string(files[folder+"hffs"]), source, "where it was built")
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return
	}
	program := filepath.Join(t.TempDir(), "hffs")
	require.NoError(t, os.WriteFile(program, files[folder+"hffs"], 0o700))
	out, err := exec.Command(program, "--version").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "v0.0.0-test")
}

// untar also checks what all files of an archive have in common.
func untar(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	require.NoError(t, err)
	require.True(t, z.ModTime.IsZero())
	files, last := map[string][]byte{}, ""
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		require.NoError(t, err)
		require.Equal(t, when, h.ModTime.UTC())
		require.Zero(t, h.Uid)
		require.Empty(t, h.Uname)
		require.Less(t, last, h.Name, "sorted")
		last = h.Name
		files[h.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

func TestZip(t *testing.T) {
	t.Parallel()
	files := []file{{name: "z.txt", content: []byte("z")}, {name: "hffs.exe", content: []byte("MZ"), runs: true}}
	b, err := zipped("top", files, when)
	require.NoError(t, err)
	again, err := zipped("top", []file{files[1], files[0]}, when)
	require.NoError(t, err)
	require.Equal(t, b, again, "in whatever order")
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	require.Len(t, r.File, 2)
	require.Equal(t, "top/hffs.exe", r.File[0].Name)
	require.Equal(t, os.FileMode(0o755), r.File[0].Mode())
	require.True(t, r.File[1].Modified.Equal(when))

	early, err := zipped("top", files, time.Unix(0, 0).UTC())
	require.NoError(t, err)
	r, err = zip.NewReader(bytes.NewReader(early), int64(len(early)))
	require.NoError(t, err)
	require.Equal(t, 1980, r.File[0].Modified.Year(), "a zip knows nothing before")
}

func TestWhatCannotBe(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, release{version: "v1/2", out: t.TempDir()}.make(nil), "no part of a file's name")
	_, err := release{version: "v1"}.archive(t.TempDir(), "linux", nil)
	require.ErrorContains(t, err, "OS/ARCH")
	_, err = licences(t.TempDir())
	require.ErrorContains(t, err, "no licence")
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return b
}
