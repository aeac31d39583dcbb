package endpoint

import (
	"net/http"
	"path"
	"regexp"
	"strings"

	"hffs/cache/ref"
)

// agentLlama is the User-Agent of llama.cpp.
const agentLlama = "llama-cpp"

// manifest answers /v2/{repo}/manifests/{tag}, by which builds of llama.cpp before
// March 2026 ask which file of a repo to take. It is a registry's manifest, of which
// they read two keys; to others, who read the rest, only the Hub can answer.
func (x *exchange) manifest(a ask) {
	if !strings.Contains(x.r.UserAgent(), agentLlama) {
		x.forward()
		return
	}
	if x.hubAnswers() {
		return
	}
	v, err := x.open(a.repo, "main")
	if err != nil {
		x.refuse(err)
		return
	}
	model, ok := chooseModel(inOrder(v.files), a.rest[0])
	if !ok {
		x.fail(Failure{Status: http.StatusBadRequest,
			Message: `The specified tag is not available in the repository. Please use another tag or "latest"`})
		return
	}
	said := map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
		"ggufFile": siblingOf(model),
	}
	if projector, ok := chooseProjector(inOrder(v.files)); ok {
		said["mmprojFile"] = siblingOf(projector)
	}
	x.json(http.StatusOK, said)
}

// latest is what "latest" stands for, the best first; see the pull request that
// taught llama.cpp to ask (ggml-org/llama.cpp 11195).
var latest = []string{"Q4_K_M", "Q4[A-Z0-9_]*", ".*"}

// chooseModel picks the file that a tag names: a quantisation, in any case of
// letters, or the file's own name.
func chooseModel(files []ref.Listed, tag string) (ref.Listed, bool) {
	wishes := []string{regexp.QuoteMeta(tag)}
	if strings.EqualFold(tag, "latest") {
		wishes = latest
	}
	for _, wish := range wishes {
		quant, err := regexp.Compile(`(?i)(^|[-._/])` + wish + `([-./]|$)`)
		if err != nil {
			continue
		}
		for _, f := range files {
			if name, ok := modelName(f.Path); ok && quant.MatchString(name) {
				return f, true
			}
		}
	}
	return ref.Listed{}, false
}

// later is any piece but the first of a model in several files.
var later = regexp.MustCompile(`-\d{5}-of-\d{5}$`)

// modelName is the path without its ending, for files that a model can be loaded
// from.
func modelName(p string) (string, bool) {
	name, ok := strings.CutSuffix(p, ".gguf")
	base := strings.ToLower(path.Base(name))
	aside := strings.Contains(base, "mmproj") || strings.Contains(base, "imatrix")
	if piece := later.FindString(name); aside || piece != "" && !strings.HasPrefix(piece, "-00001-") {
		ok = false
	}
	return name, ok
}

// chooseProjector picks the part of a model that sees: in half precision where there
// is a choice, which is what most people run.
func chooseProjector(files []ref.Listed) (best ref.Listed, ok bool) {
	for _, f := range files {
		base := strings.ToLower(path.Base(f.Path))
		if !strings.HasSuffix(base, ".gguf") || !strings.Contains(base, "mmproj") {
			continue
		}
		if half := strings.Contains(base, "f16") && !strings.Contains(base, "bf16"); half || !ok {
			best, ok = f, true
			if half {
				break
			}
		}
	}
	return best, ok
}
