package xet

import (
	"time"

	"hffs/transfer/xorb"
)

// Limits on what a CAS may send or make us do.
const (
	maxStep   = 64 << 20 // bytes of the blob that one recipe is for
	maxAnswer = 16 << 20 // of a recipe, unpacked; 64 MiB in chunks from everywhere take 9
	maxTerms  = 1 << 16
	maxRanges = 1 << 16
	maxURL    = 64 << 10
	maxText   = 300      // bytes of an error's text that are kept
	maxKept   = 8 << 20  // of chunks that a recipe uses again, for each span
	maxTries  = 3        // for each chunk, and each outline
	maxHops   = 3        // redirects of the data
	maxHeader = 64 << 10 // bytes of an answer's headers
	maxConns  = 64       // for each host
	maxTokens = 1024
	maxWait   = 5 * time.Second // what a CAS may ask us to wait; beyond it the bridge is faster
)

const (
	renewBefore  = time.Minute
	tokenTimeout = 30 * time.Second
)

// The forms of a recipe. v2 tells for each xorb of all ranges under few URLs, v1
// has a URL for each range.
const (
	formV2 = "v2"
	formV1 = "v1"
)

// wireRange is a range: of chunks with its end excluded, of bytes with its last
// byte included.
type wireRange struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// wireRecipe is the answer of GET /v2/reconstructions/{file hash}, and that of
// /v1/ which has fetch_info in the place of xorbs.
type wireRecipe struct {
	Skip  int64      `json:"offset_into_first_range"`
	Terms []wireTerm `json:"terms"`
	Xorbs map[string][]struct {
		URL    string       `json:"url"`
		Ranges []wireRanges `json:"ranges"`
	} `json:"xorbs"`
	FetchInfo map[string][]struct {
		Range    wireRange `json:"range"`
		URL      string    `json:"url"`
		URLRange wireRange `json:"url_range"`
	} `json:"fetch_info"`
}

type wireRanges struct {
	Chunks wireRange `json:"chunks"`
	Bytes  wireRange `json:"bytes"`
}

type wireTerm struct {
	Hash   string    `json:"hash"`
	Length int64     `json:"unpacked_length"`
	Range  wireRange `json:"range"`
}

func (r wireRange) isChunks() bool { return 0 <= r.Start && r.Start < r.End && r.End <= xorb.MaxChunks }

func (r wireRange) isBytes() bool {
	return 0 <= r.Start && r.Start <= r.End && r.End-r.Start < xorb.MaxSize
}
