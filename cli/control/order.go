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
	Repos    []DoneRepo `json:"repos"`
	Files    int        `json:"files"` // that came
	Failed   int        `json:"failed"`
	Bytes    int64      `json:"bytes"` // of those that came
	Seconds  float64    `json:"seconds"`
	Sources  []Source   `json:"sources"`
	Dropped  []Note     `json:"dropped"`
	Warnings []string   `json:"warnings"`
}

// DoneRepo is what came of a repo. Path is its snapshot, or the folder that was asked
// for. Where the repo itself cannot be had it has an error.
type DoneRepo struct {
	Repo     string     `json:"repo"`
	RepoType string     `json:"repo_type"`
	Revision string     `json:"revision"`
	Commit   string     `json:"commit"`
	Path     string     `json:"path"`
	Files    []DoneFile `json:"files"`
	Error    *Error     `json:"error,omitempty"`
}

// DoneFile is what became of a file. How is for those in a folder: "reflink",
// "hardlink", "copy", or "kept" where it was there.
type DoneFile struct {
	File    string   `json:"file"`
	Path    string   `json:"path"`
	Size    int64    `json:"size"`
	ETag    string   `json:"etag"`
	How     string   `json:"how,omitempty"`
	Sources []Source `json:"sources"`
	Error   *Error   `json:"error,omitempty"`
}

// Survey is what an order would fetch from whom, as `hffs get --dry-run --json`
// prints it.
type Survey struct {
	Repos []SurveyRepo `json:"repos"`
	// Here, LAN and Hub are bytes by the nearest who has them; Nobody are those that
	// cannot be had. Nodes is how much each node could bring of what is not here.
	Here     Share     `json:"here"`
	LAN      Share     `json:"lan"`
	Hub      Share     `json:"hub"`
	Nobody   Share     `json:"nobody"`
	Nodes    []NodeHas `json:"nodes"`
	Warnings []string  `json:"warnings"`
}

// Share is some files.
type Share struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// NodeHas is what a node holds of it.
type NodeHas struct {
	Node string `json:"node"`
	Addr string `json:"addr"`
	Share
}

// SurveyRepo is what would be fetched of a repo.
type SurveyRepo struct {
	Repo     string       `json:"repo"`
	RepoType string       `json:"repo_type"`
	Revision string       `json:"revision"`
	Commit   string       `json:"commit"`
	Files    []SurveyFile `json:"files"`
	Error    *Error       `json:"error,omitempty"`
}

// SurveyFile is where a file would come from: "here", "lan", "hub", or "nobody".
type SurveyFile struct {
	File  string   `json:"file"`
	Size  int64    `json:"size"`
	ETag  string   `json:"etag"`
	From  string   `json:"from"`
	Nodes []string `json:"nodes"` // who hold it
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
