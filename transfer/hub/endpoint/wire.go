package endpoint

import "time"

// RunMark is what a client started by "hffs run" has in its User-Agent, by way of
// HF_HUB_USER_AGENT_ORIGIN: it waits for the answer to a HEAD for as long as it
// takes.
const RunMark = "hffs-run"

// agentHub is in the User-Agent of every huggingface_hub in Python. Such a client
// looks into its cache between HEAD and GET.
const agentHub = "hf_hub/"

// Headers of the answers that are not in everybody's HTTP.
const (
	headerCommit       = "X-Repo-Commit"
	headerLinkedETag   = "X-Linked-Etag"
	headerLinkedSize   = "X-Linked-Size"
	headerErrorCode    = "X-Error-Code"
	headerErrorMessage = "X-Error-Message"
)

// What the error headers say word for word.
const (
	codeRepoNotFound     = "RepoNotFound"
	codeRevisionNotFound = "RevisionNotFound"
	codeEntryNotFound    = "EntryNotFound"
	messageNoEntry       = "Entry not found"
	messageBadToken      = "Invalid credentials in Authorization header"
	askForToken          = `Bearer realm="Authentication required", charset="UTF-8"`
)

// passedOn are the headers of a Hub's refusal that tell clients when to come back.
var passedOn = []string{"Ratelimit", "Ratelimit-Policy", "Retry-After"}

const (
	typeJSON = "application/json; charset=utf-8"
	typeText = "text/plain; charset=utf-8"
	typeFile = "application/octet-stream"
)

// Limits on what a caller may send or make us do.
const (
	maxAsk     = 1 << 20 // bytes of a paths-info body
	maxPlacing = 256     // HEADs that wait for their file; further ones queue
	maxPins    = 4096
	maxSplits  = 3 // ways to part an address into revision and path
	maxMessage = 500
)

const (
	// headPatience is how long a HEAD may wait for its file to be in place: clients
	// give it 10 s.
	headPatience = 6 * time.Second
	// hubPatience is how long the Hub gets to begin an answer that could also be
	// given from here.
	hubPatience = 5 * time.Second
	// listPatience is how long the list of a commit may take, to be certain that a
	// file is not in it.
	listPatience = 3 * time.Second
	// pinLife is how long a GET is answered from the commit that the HEAD before it
	// was told.
	pinLife = 5 * time.Minute
)
