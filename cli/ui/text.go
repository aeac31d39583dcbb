package ui

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Clean makes text from elsewhere harmless to show: whatever is not a visible
// character or a plain space becomes an escape as Go writes it, such as \x1b.
// That covers control characters, newlines, broken UTF-8, and the invisible
// marks that reverse or hide text.
func Clean(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

func isClean(s string) bool {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// cells is the width of clean text on a terminal.
func cells(s string) int { return uniseg.StringWidth(s) }

// leading returns the longest beginning of s that fits n cells, cut between
// characters as people see them, never inside one.
func leading(s string, n int) string {
	end, used, state := 0, 0, -1
	for rest := s; rest != ""; {
		var c string
		var w int
		c, rest, w, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if used+w > n {
			break
		}
		used += w
		end += len(c)
	}
	return s[:end]
}

// trailing returns the longest end of s that fits n cells.
func trailing(s string, n int) string {
	skip, left, state := 0, cells(s), -1
	for rest := s; rest != "" && left > n; {
		var c string
		var w int
		c, rest, w, state = uniseg.FirstGraphemeClusterInString(rest, state)
		left -= w
		skip += len(c)
	}
	return s[skip:]
}

// cut shortens s to n cells at its end.
func cut(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	return leading(s, n-1) + "…"
}

// cutMiddle shortens s to n cells and keeps both its ends, because the names of
// a model's files differ near the end ("model-00003-of-00030.safetensors").
func cutMiddle(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	if n < 5 {
		return cut(s, n)
	}
	end := trailing(s, (n-1)*2/3)
	return leading(s, n-1-cells(end)) + "…" + end
}

func padRight(s string, n int) string { return s + strings.Repeat(" ", max(0, n-cells(s))) }

func padLeft(s string, n int) string { return strings.Repeat(" ", max(0, n-cells(s))) + s }
