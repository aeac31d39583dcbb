package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// notices are the licences of all that is linked into the program for a system,
// which ask to be passed on with it: each module's, and Go's own.
func (r release) notices(goos, arch string) ([]byte, error) {
	list, err := r.golang(goos, arch, "list", "-deps", "-f",
		`{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{"\t"}}{{.Dir}}{{end}}{{end}}`, ".")
	if err != nil {
		return nil, err
	}
	root, err := r.golang(goos, arch, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules := strings.FieldsFunc(list, func(c rune) bool { return c == '\n' })
	slices.Sort(modules)
	var b bytes.Buffer
	b.WriteString("hffs contains these works of others.\n")
	for _, line := range append(slices.Compact(modules), "The Go standard library\t"+strings.TrimSpace(root)) {
		name, dir, _ := strings.Cut(line, "\t")
		text, err := licences(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 72), name, text)
	}
	return b.Bytes(), nil
}

// licences are the texts of that kind in a folder. There must be one.
func licences(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(upper, "LICEN") && !strings.HasPrefix(upper, "COPYING") && !strings.HasPrefix(upper, "NOTICE") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		texts = append(texts, strings.ReplaceAll(strings.TrimSpace(string(b)), "\r\n", "\n"))
	}
	if len(texts) == 0 {
		return "", fmt.Errorf("no licence in %s", dir)
	}
	return strings.Join(texts, "\n\n"), nil
}
