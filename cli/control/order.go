package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Orders of many files, whole repos most of all:
//
//	POST /control/v1/order    Order → a line of JSON for each [OrderEvent], the last with Done or Error
//	POST /control/v1/survey   Order → Survey
const (
	pathOrder  = "/control/v1/order"
	pathSurvey = "/control/v1/survey"

	maxOrder = 4 << 20   // bytes of a request
	maxDone  = 256 << 20 // bytes of the last event, which names every file
)

// Order is files of one or more repos.
type Order struct {
	Wants []Want `json:"wants"`
	// LocalDir is an absolute path: the files are put there as well, as "hf download
	// --local-dir" does. HardLinks lets large ones be hard links of the cache's.
	LocalDir  string `json:"local_dir,omitempty"`
	HardLinks bool   `json:"hard_links,omitempty"`
	// LimitDown and LimitHub bound the order as a whole; see [Ask].
	LimitDown int64 `json:"limit_down,omitempty"`
	LimitHub  int64 `json:"limit_hub,omitempty"`
}

// Want is what is wanted of a repo: all of it where Include is empty.
type Want struct {
	Repo     string `json:"repo"`
	RepoType string `json:"repo_type"`
	Revision string `json:"revision"`
	// Include and Exclude are patterns as huggingface_hub has them: * also stands for
	// a "/", and a folder's name that ends with one for all that is in it. A file
	// may be called by its name whatever characters that has; one that the repo does
	// not have is an error, a pattern for which there is none a warning.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// OrderProgress is one look at a running order. Files that are done may have failed.
type OrderProgress struct {
	Phase     string     `json:"phase"`
	Files     int        `json:"files"`
	FilesDone int        `json:"files_done"`
	Done      int64      `json:"done"`
	Total     int64      `json:"total"`
	Sources   []Source   `json:"sources"`
	Active    []Progress `json:"active"`          // the larger files under way
	Notes     []Note     `json:"notes,omitempty"` // all so far; only ever appended to
}

// Done is the outcome of an order, as `hffs get REPO --json` prints it. Files that
// failed have an error.
type Done struct {
	Repos    []DoneRepo `json:"repos" doc:"what came of each repo, in the order in which they were asked for"`
	Files    int        `json:"files" doc:"how many files came"`
	Failed   int        `json:"failed" doc:"how many files failed; a repo that cannot be had counts as one"`
	Bytes    int64      `json:"bytes" doc:"of the files that came, in bytes"`
	Seconds  float64    `json:"seconds" doc:"how long it took, in seconds"`
	Sources  []Source   `json:"sources" doc:"who brought how much of all that"`
	Dropped  []Note     `json:"dropped" doc:"the sources that failed or sent wrong bytes and were given up"`
	Warnings []string   `json:"warnings" doc:"what went to stderr as well, in words for people"`
}

// DoneRepo is what came of a repo. Where the repo itself cannot be had it has an error.
type DoneRepo struct {
	Repo     string     `json:"repo" doc:"the repo, without its type"`
	RepoType string     `json:"repo_type" doc:"model, dataset or space"`
	Revision string     `json:"revision" doc:"the branch, tag or commit that was asked for"`
	Commit   string     `json:"commit" doc:"the commit that it stands for, 40 hex digits; empty where that is not known"`
	Path     string     `json:"path" doc:"the absolute path of its snapshot, or of --local-dir; empty where it has an error"`
	Files    []DoneFile `json:"files" doc:"the files that were asked for"`
	Error    *Error     `json:"error,omitempty" doc:"why the repo cannot be had"`
}

// DoneFile is what became of a file.
type DoneFile struct {
	File    string   `json:"file" doc:"the path in the repo"`
	Path    string   `json:"path" doc:"where it lies, an absolute path; empty where it was not fetched"`
	Size    int64    `json:"size" doc:"bytes"`
	ETag    string   `json:"etag" doc:"the hash of the content, as the Hub states it"`
	How     string   `json:"how,omitempty" doc:"in --local-dir only: reflink, hardlink, copy, or kept where it was there before"`
	Sources []Source `json:"sources" doc:"who brought how much"`
	Error   *Error   `json:"error,omitempty" doc:"why it could not be had"`
}

// Survey is what an order would fetch from whom, as `hffs get --dry-run --json`
// prints it.
type Survey struct {
	Repos []SurveyRepo `json:"repos" doc:"the repos, in the order in which they were asked for"`
	// Here, LAN, Hub and Nobody are by the nearest who has it: each file counts once.
	Here     Share     `json:"here" doc:"what is on this machine already"`
	LAN      Share     `json:"lan" doc:"what peers have and this machine does not"`
	Hub      Share     `json:"hub" doc:"what only the Hub has"`
	Nobody   Share     `json:"nobody" doc:"what cannot be had"`
	Nodes    []NodeHas `json:"nodes" doc:"how much each peer could bring of what is not here; several may have the same"`
	Warnings []string  `json:"warnings" doc:"what went to stderr as well, in words for people"`
}

// Share is some files.
type Share struct {
	Files int   `json:"files" doc:"how many files"`
	Bytes int64 `json:"bytes" doc:"their bytes"`
}

// NodeHas is what a node holds of it.
type NodeHas struct {
	Node string `json:"node" doc:"the name of the node"`
	Addr string `json:"addr" doc:"its door for peers, HOST:PORT"`
	Share
}

// SurveyRepo is what would be fetched of a repo.
type SurveyRepo struct {
	Repo     string       `json:"repo" doc:"the repo, without its type"`
	RepoType string       `json:"repo_type" doc:"model, dataset or space"`
	Revision string       `json:"revision" doc:"the branch, tag or commit that was asked for"`
	Commit   string       `json:"commit" doc:"the commit that it stands for, 40 hex digits; empty where that is not known"`
	Files    []SurveyFile `json:"files" doc:"the files that were asked for"`
	Lacking  []DoneFile   `json:"lacking" doc:"what was asked for by its name and is not there"`
	Error    *Error       `json:"error,omitempty" doc:"why the repo cannot be had"`
}

// SurveyFile is where a file would come from.
type SurveyFile struct {
	File  string   `json:"file" doc:"the path in the repo"`
	Size  int64    `json:"size" doc:"bytes"`
	ETag  string   `json:"etag" doc:"the hash of the content, as the Hub states it"`
	From  string   `json:"from" doc:"who is the nearest to have it: here, lan, hub or nobody"`
	Nodes []string `json:"nodes" doc:"the names of the peers that hold it"`
}

// OrderEvent is a line of the answer to an order: exactly one of these.
type OrderEvent struct {
	Progress *OrderProgress `json:"progress,omitempty"`
	Done     *Done          `json:"done,omitempty"`
	Error    *Error         `json:"error,omitempty"`
}

// Orderer is an [Engine] that takes orders of many files.
type Orderer interface {
	Order(ctx context.Context, o Order, watch func(OrderProgress)) (Done, error)
	Survey(ctx context.Context, o Order) (Survey, error)
}

// serveOrders answers where the engine takes them.
func (s *Server) serveOrders() {
	if e, ok := s.engine.(Orderer); ok {
		s.mux.HandleFunc("POST "+pathOrder, func(w http.ResponseWriter, r *http.Request) { s.order(w, r, e) })
		s.mux.HandleFunc("POST "+pathSurvey, func(w http.ResponseWriter, r *http.Request) { s.survey(w, r, e) })
	}
}

// Order asks the node for many files and passes its progress on.
func (c *Client) Order(ctx context.Context, o Order, watch func(OrderProgress)) (Done, error) {
	resp, err := c.do(ctx, http.MethodPost, pathOrder, o)
	if err != nil {
		return Done{}, err
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, maxDone)
	for in.Scan() {
		var e OrderEvent
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			return Done{}, fmt.Errorf("read the node's answer: %w", err)
		}
		switch {
		case e.Error != nil:
			return Done{}, e.Error
		case e.Done != nil:
			return *e.Done, nil
		case e.Progress != nil && watch != nil:
			watch(*e.Progress)
		}
	}
	if ctx.Err() != nil {
		return Done{}, ctx.Err()
	}
	return Done{}, &Error{CodeInternal, "the node went away in the middle of the work", "is it still running? \"hffs status\"; what was fetched is kept"}
}

// Survey asks the node what an order would fetch from whom.
func (c *Client) Survey(ctx context.Context, o Order) (s Survey, err error) {
	return s, c.ask(ctx, http.MethodPost, pathSurvey, o, &s)
}

// order streams progress until the outcome is known. The downloads stop when the asker
// hangs up.
func (s *Server) order(w http.ResponseWriter, r *http.Request, engine Orderer) {
	o, ok := readOrder(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &lines{w: w, rc: http.NewResponseController(w)}
	done, err := engine.Order(r.Context(), o, func(p OrderProgress) { out.write(OrderEvent{Progress: &p}) })
	if err != nil {
		out.write(OrderEvent{Error: s.explain(err)})
		return
	}
	out.write(OrderEvent{Done: &done})
}

func (s *Server) survey(w http.ResponseWriter, r *http.Request, engine Orderer) {
	o, ok := readOrder(w, r)
	if !ok {
		return
	}
	answer(w, s, func(ctx context.Context) (Survey, error) { return engine.Survey(ctx, o) }, r)
}

func readOrder(w http.ResponseWriter, r *http.Request) (o Order, ok bool) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
	d.DisallowUnknownFields()
	err := d.Decode(&o)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, &Error{CodeUsage, "the order is too long", "split it"})
	case err != nil:
		refuse(w, http.StatusBadRequest, &Error{CodeUsage, "the request is not the JSON that is expected here", "is this command of the same version as the node?"})
	}
	return o, err == nil
}

// write is send for what comes at a pace of its own.
func (l *lines) write(e OrderEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.rc.SetWriteDeadline(time.Now().Add(30 * time.Second))
	if json.NewEncoder(l.w).Encode(e) == nil {
		_ = l.rc.Flush()
	}
}
