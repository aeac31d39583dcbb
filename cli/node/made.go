package node

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"

	"hffs/cache"
	"hffs/cache/disk"
	"hffs/cache/index"
)

// A name alone proves nothing: a state folder may be one that other programs have
// files in, and "cache.db" or "daemon.log" theirs. What a file says is looked at before it is
// taken for ours, and a folder with no file that only we write has nothing of ours.

// made is whether a file was made by hffs.
type made int

const (
	notByUs made = iota
	perhaps      // it says nothing either way, such as an empty lock
	byUs
)

// makers tell for files that go by a pattern what was found in them. The first that
// fits counts.
var makers = []struct {
	pattern string
	look    func(name string, f *os.File) made
}{
	{"*.lock", emptyOnly},
	{"*.tmp", unfinished},
	{"cache.db", either(sure(cache.IsRecord), emptyOnly)},
	{"cache.db.damaged", likely(cache.LooksDamaged)},
	{"node-id", sure(isNodeID)},
	{"control.json", sure(hasKeys("addr", "key", "pid"))},
	{"access.json", sure(hasKeys("version", "repos", "grants"))},
	{"peers.json", sure(hasKeys("version", "swarms"))},
	{"added-peers.json", either(sure(hasKeys("version", "peers")), likely(anything))},
	{"daemon*.log", either(likely(isLog), emptyOnly)},
	{"daemon*.log.1", either(likely(isLog), emptyOnly)},
	{TaskName, likely(anything)},
}

// whoMade looks into a file; inIndex says that it lies in the folder of the index. What
// the user wrote, or a link that he made in its place, is known by its name.
func whoMade(at, name string, inIndex bool) (made, error) {
	if name == SettingsName {
		return byUs, nil
	}
	f, _, err := disk.OpenFile(at)
	if errors.Is(err, fs.ErrPermission) {
		return notByUs, err
	}
	if err != nil {
		return notByUs, nil // gone, or no plain file
	}
	defer f.Close()
	if inIndex {
		return either(indexFile, emptyOnly)(name, f), nil
	}
	for _, m := range makers {
		if ok, _ := path.Match(m.pattern, name); ok {
			return m.look(name, f), nil
		}
	}
	return notByUs, nil
}

func sure(is func(io.ReaderAt) bool) func(string, *os.File) made {
	return func(_ string, f *os.File) made {
		if is(f) {
			return byUs
		}
		return notByUs
	}
}

func likely(is func(io.ReaderAt) bool) func(string, *os.File) made {
	return func(_ string, f *os.File) made {
		if is(f) {
			return perhaps
		}
		return notByUs
	}
}

func either(a, b func(string, *os.File) made) func(string, *os.File) made {
	return func(name string, f *os.File) made { return max(a(name, f), b(name, f)) }
}

func emptyOnly(_ string, f *os.File) made {
	if fi, err := f.Stat(); err == nil && fi.Size() == 0 {
		return perhaps
	}
	return notByUs
}

func indexFile(name string, f *os.File) made {
	return sure(func(r io.ReaderAt) bool { return index.IsOurs(name, r) })("", f)
}

func anything(io.ReaderAt) bool { return true }

// unfinished is JSON of ours that may have been cut short, even before it began.
func unfinished(_ string, f *os.File) made {
	text := bytes.TrimSpace(beginning(f, 64))
	if len(text) == 0 || beginsJSON.Match(text) {
		return perhaps
	}
	return notByUs
}

var beginsJSON = regexp.MustCompile(`^\{\s*"(version|addr)"`)

// beginning is the first max bytes of a file, or what there is of them.
func beginning(r io.ReaderAt, max int64) []byte {
	b, _ := io.ReadAll(io.NewSectionReader(r, 0, max))
	return b
}

func isNodeID(r io.ReaderAt) bool {
	const most = 64
	return validID(strings.TrimSpace(string(beginning(r, most))))
}

// hasKeys is for a file that is a JSON object with these keys, perhaps among others.
func hasKeys(keys ...string) func(io.ReaderAt) bool {
	const most = 32 << 20 // more than any of ours has
	return func(r io.ReaderAt) bool {
		var all map[string]json.RawMessage
		if json.Unmarshal(beginning(r, most), &all) != nil {
			return false
		}
		for _, k := range keys {
			if all[k] == nil {
				return false
			}
		}
		return true
	}
}

// isLog is for a log in which a line is one of those that we say, or slog says for us.
func isLog(r io.ReaderAt) bool {
	const most = 1 << 20
	lines := bufio.NewScanner(io.NewSectionReader(r, 0, most))
	lines.Buffer(nil, most)
	for lines.Scan() {
		if ourLine.Match(lines.Bytes()) {
			return true
		}
	}
	return false
}

var ourLine = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\S+ )?(hffs: |time=\S+ level=|panic: |fatal error: )`)
