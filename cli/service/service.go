// Package service writes the files by which a system starts a program when its user
// logs in, and again when it has crashed: a unit for systemd, an agent for launchd, a
// task for Windows. Each is a pure function of a [Spec]; who writes the file where,
// and what is run then, is up to the command.
//
// What it promises: whatever stands in a path, an argument or a variable arrives at
// the program as it is, and becomes nothing else in the file.
package service

import "strings"

// Description is what the system shows for the service.
const Description = "hffs: Hugging Face files shared among the machines of one network"

// Spec is what is to be run.
type Spec struct {
	Program string   // absolute path
	Args    []string // without the program's own name
	Env     []Var    // besides what the system sets
}

// Var is a variable of the environment.
type Var struct{ Name, Value string }

// kept are the variables that decide what a node works on and whom it asks. A service
// does not see what a shell has set, so they are written down for it.
var kept = []string{
	"HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH",
	"HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_SYMLINKS",
	"HF_HUB_DISABLE_IMPLICIT_TOKEN", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// secrets are variables that are not written down anywhere.
var secrets = []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}

// Keep takes out of an environment what a service needs of it. Left are the names of
// what it would need and what does not belong into a file: tokens, and addresses with
// a password. Variables of our own are kept but for those in except.
func Keep(environ []string, except ...string) (vars []Var, left []string) {
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case value == "" || among(except, name):
		case among(secrets, name):
			left = append(left, name)
		case !among(kept, name) && !strings.HasPrefix(name, "HFFS_"):
		case strings.Contains(value, "://") && strings.Contains(value, "@"):
			left = append(left, name)
		default:
			vars = append(vars, Var{name, value})
		}
	}
	return vars, left
}

func among(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}
