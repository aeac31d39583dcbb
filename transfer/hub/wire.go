package hub

import "time"

// Headers of the Hub's answers. The commit, the linked etag and the linked size
// stand on the Hub's own hop (200, 302 or 307); the plain ETag is the file's
// only on a 200 of the Hub: on the CDN it is the Xet hash, on an error answer
// it belongs to the error's text.
const (
	headerCommit       = "X-Repo-Commit"
	headerLinkedETag   = "X-Linked-Etag"
	headerLinkedSize   = "X-Linked-Size"
	headerXetHash      = "X-Xet-Hash"
	headerErrorCode    = "X-Error-Code"
	headerErrorMessage = "X-Error-Message"
	headerRateLimit    = "Ratelimit" // "resolvers";r=0;t=258
)

// What the error headers say word for word.
const (
	codeRepoNotFound     = "RepoNotFound"
	codeRevisionNotFound = "RevisionNotFound"
	codeEntryNotFound    = "EntryNotFound"
	codeGatedRepo        = "GatedRepo"
	messageDisabled      = "Access to this resource is disabled."
	messageBadToken      = "Invalid credentials in Authorization header"
)

// Limits on what an endpoint may send or make us do.
const (
	maxEndpoints   = 16
	maxHops        = 10       // huggingface_hub allows 20, the longest chain of the Hub is 3
	maxHeaderBytes = 64 << 10 // signed URLs take about 1 KB
	maxMessage     = 300      // bytes of an error message that are kept
	maxDiscard     = 4 << 10  // of a redirect's body, read so that the connection serves again
	maxConns       = 64       // for each host
	maxLinks       = 4096
	maxRetryAfter  = time.Hour
	maxAnswer      = 64 << 20 // of JSON about a repo, all pages of it: 200,000 files take about 50 MB
	maxShortAnswer = 1 << 20
	maxPages       = 1000 // the Hub has 1000 files on each
)

const (
	linkLife = 15 * time.Minute // the Hub signs its URLs for about an hour
	restTime = time.Minute      // how long an endpoint that failed is passed over
	maxRest  = 5 * time.Minute
	// writeTime is how long the Hub may take to answer an upload once it has all of
	// it, or to take the next piece of it.
	writeTime = time.Minute
)
