package node

import (
	"slices"
	"strings"
	"unicode"

	"hffs/cache/ref"
	"hffs/cli/control"
)

// picked is what an order wants of a repo's files.
type picked struct {
	files []ref.Listed
	// lacking are names and patterns for which there is no file.
	lacking []string
}

// pick chooses files by names and patterns.
func pick(w control.Want, files []ref.Listed) (p picked) {
	used := make([]bool, len(w.Include))
	include := make([]func(string) bool, len(w.Include))
	for i, s := range w.Include {
		include[i] = pattern(s)
	}
	exclude := make([]func(string) bool, len(w.Exclude))
	for i, s := range w.Exclude {
		exclude[i] = pattern(s)
	}
	for _, f := range files {
		wanted := len(include) == 0
		for i, match := range include {
			if f.Path == w.Include[i] || match(f.Path) {
				wanted, used[i] = true, true
			}
		}
		if wanted && !slices.ContainsFunc(exclude, func(match func(string) bool) bool { return match(f.Path) }) {
			p.files = append(p.files, f)
		}
	}
	for i, ok := range used {
		if !ok {
			p.lacking = append(p.lacking, w.Include[i])
		}
	}
	return p
}

// IsPattern tells a pattern from a file's name.
func IsPattern(s string) bool {
	_, behind, set := strings.Cut(s, "[")
	return strings.ContainsAny(s, "*?") || set && strings.Contains(behind, "]") || strings.HasSuffix(s, "/")
}

// checkPattern refuses what nobody means to write.
func checkPattern(s string) error {
	if !IsPattern(s) {
		return ref.CheckPath(s)
	}
	if strings.ContainsFunc(s, unicode.IsControl) || len(s) > ref.MaxPathLen {
		return &ref.Error{What: "file", Value: s, Why: "as a pattern it is too long or has a control character"}
	}
	return nil
}

// pattern is Python's fnmatchcase, as huggingface_hub uses it: * stands for anything,
// slashes as well, ? for a character, [abc], [a-c] and [!abc] for one of a set. What
// ends with a slash is a folder with all that is in it.
func pattern(s string) func(name string) bool {
	if strings.HasSuffix(s, "/") {
		s += "*"
	}
	parts := globParts([]rune(s))
	return func(name string) bool { return globFits(parts, []rune(name)) }
}

// globPart matches one character, or, as a star, any number.
type globPart struct {
	star bool
	is   func(rune) bool
}

func globParts(p []rune) (parts []globPart) {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '*':
			if len(parts) == 0 || !parts[len(parts)-1].star {
				parts = append(parts, globPart{star: true})
			}
		case '?':
			parts = append(parts, globPart{is: func(rune) bool { return true }})
		case '[':
			if set, n := globSet(p[i+1:]); n > 0 {
				parts = append(parts, globPart{is: set})
				i += n
				continue
			}
			fallthrough
		default:
			parts = append(parts, globPart{is: func(r rune) bool { return r == p[i] }})
		}
	}
	return parts
}

// globSet reads a set up to its bracket; n is how many characters that took, 0 when
// there is no bracket, and the one before it then means itself.
func globSet(p []rune) (is func(rune) bool, n int) {
	i := 0
	if i < len(p) && p[i] == '!' {
		i++
	}
	not := i == 1
	if i < len(p) && p[i] == ']' {
		i++ // the first one belongs to the set
	}
	for i < len(p) && p[i] != ']' {
		i++
	}
	if i >= len(p) {
		return nil, 0
	}
	set := p[:i]
	if not {
		set = set[1:]
	}
	return func(r rune) bool { return inSet(set, r) != not }, i + 1
}

func inSet(set []rune, r rune) bool {
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			if set[i] <= r && r <= set[i+2] {
				return true
			}
			i += 2
		} else if set[i] == r {
			return true
		}
	}
	return false
}

// globFits goes back to the last star where it is stuck, and no further, which is
// enough for globs and takes time in proportion to both lengths at most.
func globFits(parts []globPart, name []rune) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(parts) && parts[p].star:
			star, mark = p, n
			p++
		case p < len(parts) && parts[p].is(name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(parts) && parts[p].star {
		p++
	}
	return p == len(parts)
}
