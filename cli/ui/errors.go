package ui

import (
	"fmt"
	"io"
	"strings"
)

// PrintError writes what went wrong to standard error and below it, where there
// is one, what to try:
//
//	hffs: no machine here has org/model and the Hub cannot be reached
//	hint: is another node running? try "hffs where org/model"
//
// An error of several lines is indented, so that none of it passes for a hint.
func PrintError(s Streams, err error, hint string) {
	text := s.paint(sgrError, "hffs:") + " " + indented(err.Error())
	if hint != "" {
		text += s.paint(sgrHint, "hint:") + " " + indented(hint)
	}
	_, _ = io.WriteString(s.Err, text) // there is no better place to complain
}

func indented(text string) string {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if i > 0 {
			b.WriteString("      ")
		}
		fmt.Fprintln(&b, Clean(line))
	}
	return b.String()
}
