package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Binary is the path of the hffs under test: HFFS_BIN if set, else built from
// the source around the test, once for each run, as it is shipped (static, no
// cgo) or, with HFFS_RACE=1, with the race detector.
func Binary(t T) string {
	t.Helper()
	built := build()
	if built.err != "" {
		t.Fatalf("build hffs: %s", built.err)
	}
	return built.path
}

type product struct{ path, err string }

var workshop string // the folder that build made, if it did

var build = sync.OnceValue(func() product {
	if path := os.Getenv("HFFS_BIN"); path != "" {
		return product{path: path}
	}
	dir, err := os.MkdirTemp("", "hffs-lab-")
	if err != nil {
		return product{err: err.Error()}
	}
	workshop = dir
	args, cgo := []string{"build", "-trimpath"}, "CGO_ENABLED=0"
	if os.Getenv("HFFS_RACE") == "1" {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	path := filepath.Join(dir, "hffs")
	cmd := exec.Command("go", append(args, "-o", path, "hffs")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return product{err: err.Error() + ": " + strings.TrimSpace(string(out))}
	}
	return product{path: path}
})

// Forget removes what [Binary] built: the last act of a test run.
func Forget() {
	if dir := workshop; dir != "" {
		_ = os.RemoveAll(dir)
	}
}
