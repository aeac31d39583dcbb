package disk

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// LikeWindows says that this system has the rules of Windows for names.
const LikeWindows = runtime.GOOS == "windows"

// devices are names that mean a device in every folder, whatever ending follows.
var devices = map[string]bool{
	"CON": true, "PRN": true, "AUX": true, "NUL": true, "CONIN$": true, "CONOUT$": true,
}

// OffWindows says why Windows cannot have a file of this path, whose parts are
// separated by "/"; it says nothing when it can. That a path is long is no reason:
// since we name files in the long form, the limit of 260 characters is only that of
// programs which do not.
func OffWindows(name string) string {
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
			return "no name there ends with a dot or a blank"
		case strings.ContainsAny(part, `<>:"|?*\`):
			return `no name there has one of < > : " | ? * \`
		case isDevice(part):
			return "\"" + part + "\" is the name of a device there"
		}
	}
	return ""
}

func isDevice(part string) bool {
	stem, _, _ := strings.Cut(part, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	if devices[stem] {
		return true
	}
	number, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		number, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && strings.Contains("1 2 3 4 5 6 7 8 9 ¹ ² ³", number) && strings.TrimSpace(number) != ""
}

// Twin is a file or folder in root that a disk which does not tell upper from lower
// case takes for name, or for a folder that name leads through, though it is written
// otherwise; "" when there is none. What disk this is, it finds out by looking; with
// folds, it is taken for such a one.
func Twin(root *os.Root, name string, folds bool) string {
	if _, err := root.Lstat(filepath.FromSlash(name)); err != nil && !folds {
		return "" // nothing there, however it is written
	}
	at := "."
	for part := range strings.SplitSeq(name, "/") {
		entries, err := fs.ReadDir(root.FS(), at)
		if err != nil {
			return ""
		}
		if other := twinAmong(entries, part); other != "" {
			return path.Join(at, other)
		}
		at = path.Join(at, part)
	}
	return ""
}

// twinAmong finds part in other letters, but only where part itself is not.
func twinAmong(entries []fs.DirEntry, part string) (other string) {
	for _, e := range entries {
		switch name := e.Name(); {
		case name == part:
			return ""
		case strings.EqualFold(name, part):
			other = name
		}
	}
	return other
}
