// Command release writes the archives that people download: for each system one,
// with the program, licences, what there is to read, the completion files and the
// man page, and SHA256SUMS over all of them.
//
// Who builds the same commit with the same version of Go gets the same bytes, on
// any machine, in any folder: files stand in a fixed order, have the time of the
// commit and nobody's name, and the program knows nothing of where it was built.
// So a download can be checked by building it again.
//
//	go run ./.ci/release -version v1.0.0 -time 1700000000 [OS/ARCH…]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// targets are built when none are named.
var targets = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}

// release is one version of hffs, to be built from the source in a folder.
type release struct {
	source  string    // the work tree
	out     string    // where archives go
	version string    // as "hffs --version" says it
	when    time.Time // of the commit
}

func main() {
	r := release{source: "."}
	flag.StringVar(&r.version, "version", "dev", "what \"hffs --version\" says")
	flag.StringVar(&r.out, "out", "dist", "folder for the archives")
	seconds := flag.Int64("time", 0, "when the commit was made, in seconds since 1970")
	flag.Parse()
	r.when = time.Unix(*seconds, 0).UTC()
	wanted := flag.Args()
	if len(wanted) == 0 {
		wanted = targets
	}
	if err := r.make(wanted); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// make writes an archive for each of the wanted systems, then the sums.
func (r release) make(wanted []string) error {
	if r.version == "" || strings.ContainsAny(r.version, "/\\ ") {
		return fmt.Errorf("version %q is no part of a file's name", r.version)
	}
	work, err := os.MkdirTemp("", "hffs-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	same, err := r.common(work)
	if err != nil {
		return err
	}
	var names []string
	for _, target := range wanted {
		name, err := r.archive(work, target, same)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		names = append(names, name)
	}
	return writeSums(r.out, names)
}

// archive builds the program for one system and packs it.
func (r release) archive(work, target string, same []file) (name string, err error) {
	goos, arch, ok := strings.Cut(target, "/")
	if !ok {
		return "", errors.New("a target is OS/ARCH")
	}
	program := filepath.Join(work, goos+"_"+arch)
	if err := r.build(program, goos, arch); err != nil {
		return "", err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	notices, err := r.notices(goos, arch)
	if err != nil {
		return "", err
	}
	files := append([]file{
		{name: "hffs" + suffix(goos), content: content, runs: true},
		{name: "THIRD-PARTY.txt", content: notices},
	}, same...)
	pack, ending := tarGz, ".tar.gz"
	if goos == "windows" {
		pack, ending = zipped, ".zip"
	}
	folder := strings.Join([]string{"hffs", r.version, goos, arch}, "_")
	b, err := pack(folder, files, r.when)
	if err != nil {
		return "", err
	}
	fmt.Printf("%s%s  %d bytes\n", folder, ending, len(b))
	return folder + ending, os.WriteFile(filepath.Join(r.out, folder+ending), b, 0o644)
}

func suffix(goos string) string {
	if goos == "windows" {
		return ".exe"
	}
	return ""
}
