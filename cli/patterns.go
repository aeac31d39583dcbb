package cli

import "strings"

// patterns are the values of a flag that may be given more than once. Unlike the
// library's own, a comma in one is a part of it.
type patterns []string

func (p *patterns) Set(s string) error {
	*p = append(*p, s)
	return nil
}

func (p *patterns) String() string { return strings.Join(*p, " ") }
