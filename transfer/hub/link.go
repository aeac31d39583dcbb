package hub

import "strings"

// A relation is one value of a Link header (RFC 8288): <target>; rel="next".
type relation struct {
	target string
	params string // what follows the target, without blanks around it
}

// parseLinks reads Link headers. What does not look like a link ends its header.
func parseLinks(headers []string) (all []relation) {
	for _, rest := range headers {
		for {
			_, after, ok := strings.Cut(rest, "<")
			target, after, closed := strings.Cut(after, ">")
			if !ok || !closed {
				break
			}
			var params string
			params, rest = cutParams(after)
			all = append(all, relation{target, params})
		}
	}
	return all
}

// cutParams ends at the first comma that does not stand in quotes.
func cutParams(s string) (params, rest string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return strings.TrimSpace(s[:i]), s[i+1:]
		}
	}
	return strings.TrimSpace(s), ""
}

// is reports whether the link has the relation, among others.
func (l relation) is(rel string) bool {
	for param := range strings.SplitSeq(l.params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for word := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(word, rel) {
				return true
			}
		}
	}
	return false
}

// String has the blank after ";" that huggingface.js demands.
func (l relation) String() string {
	params := strings.TrimSpace(strings.TrimPrefix(l.params, ";"))
	if params == "" {
		return "<" + l.target + ">"
	}
	return "<" + l.target + ">; " + params
}
