package endpoint

import (
	"errors"
	"net/url"
	"strings"

	"hffs/cache/ref"
)

// What can be asked here; everything else is the Hub's to answer.
const (
	askInfo         = "info" // also /revision/
	askRevision     = "revision"
	askTree         = "tree"
	askPaths        = "paths-info"
	askRefs         = "refs"
	askAuth         = "auth-check"
	askResolve      = "resolve"
	askRaw          = "raw"
	askResolveCache = "resolve-cache"
	askManifest     = "manifests"
	askTelemetry    = "telemetry"
	askHarnesses    = "agent-harnesses"
	askViewer       = "viewer" // of the datasets server, another host of the Hub
)

// apiVerbs may follow a repo in /api/{type}/{repo}/.
var apiVerbs = map[string]bool{askRevision: true, askTree: true, askPaths: true, askRefs: true, askAuth: true}

// notSpaces are addresses of the API that look as if they named a space.
var notSpaces = map[string]bool{"zero-gpu/quota": true}

// An ask is an address taken apart. Its zero value is one for the Hub.
type ask struct {
	verb string
	repo ref.Repo
	rest []string // what follows the verb, unescaped: a revision, a path
}

var errDots = errors.New(`"." and ".." have no place in an address`)

// parse takes the escaped path apart before it unescapes the pieces: in
// resolve/refs%2Fpr%2F1/x the revision is one of them.
func parse(escaped string) (ask, error) {
	pieces, err := split(escaped)
	if err != nil {
		return ask{}, err
	}
	switch pieces[0] {
	case "api":
		return parseAPI(pieces[1:]), nil
	case "v2":
		return parseManifest(pieces[1:]), nil
	}
	return parseFile(pieces), nil
}

// split drops slashes in front: some clients add one to an endpoint that has one.
func split(escaped string) ([]string, error) {
	pieces := strings.Split(strings.TrimLeft(escaped, "/"), "/")
	for i, s := range pieces {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, err
		}
		for part := range strings.SplitSeq(plain, "/") {
			if part == "." || part == ".." {
				return nil, errDots
			}
		}
		pieces[i] = plain
	}
	return pieces, nil
}

// parseFile reads [datasets/|spaces/]repo/resolve/revision/path, and raw in the
// place of resolve.
func parseFile(pieces []string) ask {
	t := ref.Model
	if prefix, ok := typeOf(pieces[0]); ok && prefix != ref.Model {
		t, pieces = prefix, pieces[1:]
	}
	for _, n := range []int{2, 1} { // two pieces name nearly every repo
		if len(pieces) < n+3 || pieces[n] != askResolve && pieces[n] != askRaw {
			continue
		}
		if repo, err := ref.ParseRepo(t, strings.Join(pieces[:n], "/")); err == nil {
			return ask{pieces[n], repo, pieces[n+1:]}
		}
	}
	return ask{}
}

// parseAPI reads what follows /api/.
func parseAPI(pieces []string) ask {
	for len(pieces) > 0 && pieces[len(pieces)-1] == "" {
		pieces = pieces[:len(pieces)-1]
	}
	switch {
	case len(pieces) > 0 && pieces[0] == askTelemetry:
		return ask{verb: askTelemetry}
	case len(pieces) == 1 && pieces[0] == askHarnesses:
		return ask{verb: askHarnesses}
	case len(pieces) < 2:
		return ask{}
	case pieces[0] == askResolveCache:
		return parseResolveCache(pieces[1:])
	}
	if t, ok := typeOf(pieces[0]); ok {
		return parseRepo(t, pieces[1:])
	}
	return ask{}
}

// parseRepo reads what follows /api/{type}/.
func parseRepo(t ref.Type, pieces []string) ask {
	n := namesRepo(pieces)
	id := strings.Join(pieces[:n], "/")
	repo, err := ref.ParseRepo(t, id)
	if err != nil || t == ref.Space && (!strings.Contains(id, "/") || notSpaces[id]) {
		return ask{} // there never were spaces without an owner
	}
	if len(pieces) == n {
		return ask{askInfo, repo, nil}
	}
	verb, rest := pieces[n], pieces[n+1:]
	bare := verb == askRefs || verb == askAuth
	if !apiVerbs[verb] || bare != (len(rest) == 0) {
		return ask{}
	}
	return ask{verb, repo, rest}
}

// namesRepo says how many pieces name the repo: one where a verb follows it that
// is not itself a name before another verb.
func namesRepo(pieces []string) int {
	if len(pieces) == 1 {
		return 1
	}
	again := len(pieces) > 2 && apiVerbs[pieces[2]] && pieces[2] != askRefs
	if apiVerbs[pieces[1]] && !again {
		return 1
	}
	return 2
}

// parseResolveCache reads {type}/{repo}/{commit}/{path}.
func parseResolveCache(pieces []string) ask {
	t, ok := typeOf(pieces[0])
	for _, n := range []int{2, 3} {
		if !ok || len(pieces) < n+2 || n == 2 && !ref.IsCommit(pieces[n]) {
			continue
		}
		if repo, err := ref.ParseRepo(t, strings.Join(pieces[1:n], "/")); err == nil {
			return ask{askResolveCache, repo, pieces[n:]}
		}
	}
	return ask{}
}

// parseManifest reads {repo}/manifests/{tag}, as registries of containers have it.
func parseManifest(pieces []string) ask {
	n := len(pieces) - 2
	if n < 1 || n > 2 || pieces[n] != askManifest {
		return ask{}
	}
	repo, err := ref.ParseRepo(ref.Model, strings.Join(pieces[:n], "/"))
	if err != nil {
		return ask{}
	}
	return ask{askManifest, repo, pieces[n+1:]}
}

func typeOf(plural string) (ref.Type, bool) {
	for _, t := range []ref.Type{ref.Model, ref.Dataset, ref.Space} {
		if plural == t.Plural() {
			return t, true
		}
	}
	return "", false
}

// A place is a revision and a path in it.
type place struct{ revision, path string }

// places are the ways in which pieces can be a revision and a path, the likeliest
// first: a branch with slashes may come unescaped. atLeast is how many pieces the
// path must have.
func places(pieces []string, atLeast int) []place {
	join := func(n int) place {
		return place{strings.Join(pieces[:n], "/"), strings.Join(pieces[n:], "/")}
	}
	if len(pieces) >= 3+atLeast && pieces[0] == "refs" {
		return []place{join(3)} // refs/pr/1, refs/convert/parquet
	}
	all := []place{join(1)}
	if ref.IsCommit(pieces[0]) || strings.Contains(pieces[0], "/") {
		return all
	}
	for n := 2; n <= maxSplits && n+atLeast <= len(pieces); n++ {
		all = append(all, join(n))
	}
	return all
}
