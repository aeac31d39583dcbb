// Package environ is the environment under which any program that honours
// HF_ENDPOINT downloads through a node of this machine.
//
// [For] says which variables that takes and why, [Undo] how to take them back,
// [Shell] writes either as code for a shell. All of it is pure: variables in,
// variables out.
//
// What it promises: a variable that the user has set counts where it does not
// stand in the way; what it was before is written down in HFFS_BEFORE, so that it
// can be restored, and so that hffs itself, started under such an environment, sees
// the user's own settings ([Before]); doing it twice is the same as doing it once.
package environ

import (
	"cmp"
	"runtime"
	"strconv"
	"strings"
)

// Names of the variables that hffs made up.
const (
	// Upstream lists the endpoints that the node asks: what HF_ENDPOINT was. An
	// hffs in the same environment takes it for HF_ENDPOINT, which leads to the node.
	Upstream = "HFFS_UPSTREAM"
	// Record has what each variable was before, as JSON; null for not set.
	Record = "HFFS_BEFORE"
)

// Mark is what programs show of this environment, as part of their user agent: they
// wait for as long as it takes, so the node may have a file in place before it
// answers for it.
const Mark = "hffs-run"

// patience is how long programs wait for an answer of the node, in seconds. A day
// is beyond any download, and within what their clocks count in: milliseconds in 32
// bits. A node that goes away ends the wait at once, for its connections break.
const patience = 24 * 60 * 60

// Node is what programs are to use.
type Node struct {
	Addr     string // host:port of its API
	Cache    string // the Hugging Face cache it works on
	Upstream []string
}

// Var is a variable and what it is to be.
type Var struct {
	Name, Value string
	Gone        bool // it is not to be set at all
}

// Lookup is os.LookupEnv, or another way to read variables.
type Lookup func(name string) (value string, set bool)

// For is what must be set for programs to use the node, where own reads what is set
// now.
func For(n Node, own Lookup) []Var {
	user := before(own)
	url := "http://" + n.Addr
	vars := []Var{
		{Name: "HF_ENDPOINT", Value: url},
		{Name: "HF_HUB_CACHE", Value: n.Cache}, // what the node puts in place is found there
		// Xet would fetch from the Hub's own servers, around the node.
		{Name: "HF_HUB_DISABLE_XET", Value: "1"},
		{Name: "HF_HUB_ETAG_TIMEOUT", Value: patient(user.get("HF_HUB_ETAG_TIMEOUT"))},
		{Name: "HF_HUB_DOWNLOAD_TIMEOUT", Value: patient(user.get("HF_HUB_DOWNLOAD_TIMEOUT"))},
		{Name: "HF_HUB_USER_AGENT_ORIGIN", Value: origin(user.get("HF_HUB_USER_AGENT_ORIGIN"))},
		{Name: Upstream, Value: strings.Join(n.Upstream, ",")},
	}
	vars = append(vars, exceptions(user)...)
	if user.get("MODEL_ENDPOINT") != "" { // llama.cpp prefers it
		vars = append(vars, Var{Name: "MODEL_ENDPOINT", Value: url})
	}
	return append(vars, Var{Name: Record, Value: record(vars, user)})
}

// patient is the longer of the user's time limit and ours.
func patient(seconds string) string {
	n, _ := strconv.Atoi(strings.TrimSpace(seconds))
	return strconv.Itoa(max(n, patience))
}

func origin(user string) string {
	switch {
	case user == "":
		return Mark
	case strings.Contains(user, Mark):
		return user
	}
	return user + " " + Mark
}

// exceptions keep what goes to this machine from a proxy. Of the two spellings some
// programs read one first and some the other, so both say the same of us, and
// neither loses what the user said in the other alone.
func exceptions(user Lookup) []Var {
	lower, upper := user.get("no_proxy"), user.get("NO_PROXY")
	vars := []Var{{Name: "NO_PROXY", Value: withLocal(cmp.Or(upper, lower))}}
	if runtime.GOOS != "windows" { // where they are one variable
		vars = append(vars, Var{Name: "no_proxy", Value: withLocal(cmp.Or(lower, upper))})
	}
	return vars
}

func withLocal(list string) string {
	if strings.TrimSpace(list) == "*" {
		return list
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if !listed(list, host) {
			list = strings.TrimLeft(strings.TrimRight(list, ", ")+","+host, ",")
		}
	}
	return list
}

func listed(list, host string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(item), host) {
			return true
		}
	}
	return false
}

func (l Lookup) get(name string) string {
	v, _ := l(name)
	return v
}

// List reads variables from a list as os.Environ gives it. The last of equal names
// counts, as it does for a program that is started with the list.
func List(all []string) Lookup {
	return func(name string) (string, bool) {
		for i := len(all) - 1; i >= 0; i-- {
			if n, v, ok := strings.Cut(all[i], "="); ok && same(n, name) {
				return v, true
			}
		}
		return "", false
	}
}

// Apply is a list of variables with some of them changed.
func Apply(all []string, vars []Var) []string {
	var out []string
	for _, kv := range all {
		if name, _, _ := strings.Cut(kv, "="); !among(vars, name) {
			out = append(out, kv)
		}
	}
	for _, v := range vars {
		if !v.Gone {
			out = append(out, v.Name+"="+v.Value)
		}
	}
	return out
}

func among(vars []Var, name string) bool {
	for _, v := range vars {
		if same(v.Name, name) {
			return true
		}
	}
	return false
}

// same compares names as the system does.
func same(a, b string) bool {
	return a == b || runtime.GOOS == "windows" && strings.EqualFold(a, b)
}
