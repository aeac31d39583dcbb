package environ

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// ours are all the variables that [For] may set: nothing else is restored, whatever
// a record says.
var ours = []string{
	"HF_ENDPOINT", "MODEL_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_DISABLE_XET", "HF_HUB_ETAG_TIMEOUT",
	"HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_USER_AGENT_ORIGIN", "NO_PROXY", "no_proxy", Upstream,
}

// record writes down what the variables that are to be set are for the user.
func record(vars []Var, user Lookup) string {
	was := map[string]*string{}
	for _, v := range vars {
		was[v.Name] = nil
		if old, set := user(v.Name); set {
			was[v.Name] = &old
		}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(was) // strings always can be
	return strings.TrimSpace(b.String())
}

// recorded reads a record; one that is none is as good as no record.
func recorded(own Lookup) map[string]*string {
	text, _ := own(Record)
	var was map[string]*string
	if text == "" || json.Unmarshal([]byte(text), &was) != nil {
		return nil
	}
	maps.DeleteFunc(was, func(name string, _ *string) bool { return !slices.Contains(ours, name) })
	return was
}

// before reads variables as they were when [For] had not changed them.
func before(own Lookup) Lookup {
	was := recorded(own)
	return func(name string) (string, bool) {
		old, changed := was[name]
		switch {
		case !changed:
			return own(name)
		case old == nil:
			return "", false
		}
		return *old, true
	}
}

// Before reads variables as they were before [For] changed them, but for Upstream,
// which only it sets.
func Before(own Lookup) func(name string) string {
	user := before(own)
	return func(name string) string {
		if name == Upstream {
			return own.get(name)
		}
		return user.get(name)
	}
}

// Undo is what takes [For] back: nothing where it was not done.
func Undo(own Lookup) []Var {
	if _, set := own(Record); !set {
		return nil
	}
	was := recorded(own)
	var vars []Var
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if old := was[name]; old != nil {
			vars = append(vars, Var{Name: name, Value: *old})
		} else {
			vars = append(vars, Var{Name: name, Gone: true})
		}
	}
	return append(vars, Var{Name: Record, Gone: true})
}
