package chunk

import "hffs/cache/ref"

// Rule says where content-defined chunks end. Two rules are in the wild, and
// nothing tells which of them made a file: try both, and see which one gives the
// Xet hash that the Hub announces.
type Rule string

const (
	// Current is the rule of today: never below MinLen, always at MaxLen, between
	// them wherever the gear hash of the last 64 bytes matches.
	Current Rule = "current"

	// Legacy is the rule of uploads up to autumn 2025, and through browsers up to
	// summer 2026. It tests from the first byte that it rolls, 64 bytes too early,
	// and therefore on a state that has not seen its 64 bytes: one chunk in thirteen
	// ends between 8128 and 8191.
	Legacy Rule = "legacy"
)

// ParseRule reads "current" or "legacy".
func ParseRule(s string) (Rule, error) {
	switch r := Rule(s); r {
	case Current, Legacy:
		return r, nil
	}
	return "", &ref.Error{What: "chunking rule", Value: s, Why: "it is neither current nor legacy"}
}

// skipped is how many bytes at the front of a chunk need not be rolled: what
// matters at MinLen is the last 64 of them. Both rules begin behind them with an
// empty state; for Legacy that is part of the rule.
const skipped = MinLen - window - 1

// silent is the longest chunk that no match can end.
func (r Rule) silent() int {
	if r == Legacy {
		return skipped
	}
	return MinLen - 1
}
