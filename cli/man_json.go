package cli

import (
	"fmt"
	"reflect"
	"strings"
)

const jsonPromise = "With --json a command prints one JSON value on one line of stdout, and nothing else there;\n" +
	"what it says to people, errors too, goes to stderr. The exit code is the same as without\n" +
	"--json. A command that fails before it has an answer prints nothing on stdout.\n\n" +
	"Keys keep their names, types and meanings within a major version; new ones may be added at\n" +
	"any time: pass over those that you do not know. The same holds for words such as the kind of\n" +
	"a source or the code of an error. Their order means nothing. What is \"in words for people\"\n" +
	"may change with every version, and so may the texts on stderr.\n\n" +
	"Sizes are in bytes, durations in seconds (in milliseconds where the key ends with _ms), times\n" +
	"in RFC 3339 (2006-01-02T15:04:05Z). An integer may be larger than 2^31. An array is never\n" +
	"null: where there is nothing it is []. What may be null or absent is marked. Paths of keys\n" +
	"are written as jq has them:\n\n" +
	"  hffs get org/model model.safetensors --json | jq '.sources[] | {name, bytes}'\n" +
	"  hffs ls --json | jq -r '.repos[] | select(.bytes > 1e9) | .repo'\n" +
	"  hffs get org/model --json | jq -r '.repos[].files[] | select(.error) | .file'\n\n" +
	"hffs env --shell json prints an object whose keys are names of variables; a value is a\n" +
	"string, or null for a variable that is to be unset."

// answers describes what --json prints: each command by itself, and after them the
// objects that several have.
func (p *page) answers(all []answer) {
	p.section("JSON")
	p.text(jsonPromise)
	apart, objects := inSeveral(all)
	for _, a := range all {
		fmt.Fprintf(p, ".SS %s\n", roff(a.command+" --json"))
		if text := strings.TrimSpace(a.text + sameAs(a)); text != "" {
			p.text(text)
		}
		p.keys(keysOf(reflect.TypeOf(a.value), apart))
	}
	for _, t := range objects {
		fmt.Fprintf(p, ".SS %s\n", nameOf(t))
		p.keys(keysOf(t, apart))
	}
}

func sameAs(a answer) string {
	if len(a.also) == 0 {
		return ""
	}
	return "\nThe same: " + strings.Join(a.also, ", ") + "."
}

// keys is a table: what a key is stands beside it where it is short, else below.
func (p *page) keys(keys []jsonKey) {
	p.WriteString(".PD 0\n")
	for _, k := range keys {
		kind := k.kind
		if k.may {
			kind += ", may be absent"
		}
		fmt.Fprintf(p, ".TP 20\n.B %s\n%s\n", roff(k.path), roff(kind+": "+k.text))
	}
	p.WriteString(".PD\n")
}
