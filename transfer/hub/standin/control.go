package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	humanize "github.com/dustin/go-humanize"

	"hffs/cache/ref"
)

// controlPrefix is where tests in other processes steer the stand-in. Nothing
// under it is logged or broken.
//
//	GET    /_standin/log              the requests so far, as JSON
//	DELETE /_standin/log              forget them, and the byte counts
//	GET    /_standin/bytes?file=F     {"bytes":N} sent of org/name/path, or of xorbs/HASH; of all xorbs for
//	                                  F = xorbs, of everything without F
//	POST   /_standin/faults           arm a Fault, or an array of them
//	DELETE /_standin/faults           take all away
//	POST   /_standin/commits          add a commit: {"repo","type","revision","text":{path:text},"synthetic":{path:"SIZE@SEED"}}
const controlPrefix = "/_standin/"

func (h *Hub) control(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAsk)
	var answer any
	var err error
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, controlPrefix) {
	case "GET log":
		answer = h.Requests()
	case "DELETE log":
		h.ResetLog()
	case "GET bytes":
		answer = map[string]int64{"bytes": h.bytesOf(r.URL.Query().Get("file"))}
	case "POST faults":
		err = h.armAll(r)
	case "DELETE faults":
		h.Heal()
	case "POST commits":
		answer, err = h.addByRequest(r)
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (h *Hub) bytesOf(file string) int64 {
	switch file {
	case "":
		return h.AllBodyBytes()
	case xorbRepo:
		return h.XorbBytes()
	}
	return h.log.fileBytes(file)
}

// armAll reads one fault or an array of them.
func (h *Hub) armAll(r *http.Request) error {
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		return err
	}
	if raw[0] != '[' {
		raw = append(append(json.RawMessage("["), raw...), ']')
	}
	var faults []Fault
	if err := json.Unmarshal(raw, &faults); err != nil {
		return err
	}
	for _, f := range faults {
		if err := h.Break(f); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) addByRequest(r *http.Request) (any, error) {
	var ask struct {
		Repo, Type, Revision string
		Text, Synthetic      map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		return nil, err
	}
	t, err := ref.ParseType(ask.Type)
	if err != nil {
		return nil, err
	}
	name, err := ref.ParseRepo(t, ask.Repo)
	if err != nil {
		return nil, err
	}
	files := map[string]Content{}
	for p, text := range ask.Text {
		files[p] = String(text)
	}
	for p, spec := range ask.Synthetic {
		if files[p], err = parseSynthetic(spec); err != nil {
			return nil, err
		}
	}
	for p := range files {
		if err := ref.CheckPath(p); err != nil {
			return nil, err
		}
	}
	return map[string]any{"commit": h.Add(name, ask.Revision, files)}, nil
}

// parseSynthetic reads SIZE[@SEED], where SIZE may be 200MB or 1GiB.
func parseSynthetic(spec string) (Content, error) {
	size, seed, _ := strings.Cut(spec, "@")
	n, err := humanize.ParseBytes(size)
	if err == nil {
		err = ref.CheckSize(int64(n))
	}
	if err != nil {
		return Content{}, fmt.Errorf("size %q: %w", size, err)
	}
	var s uint64
	if seed != "" {
		if s, err = strconv.ParseUint(seed, 10, 64); err != nil {
			return Content{}, fmt.Errorf("seed %q: %w", seed, err)
		}
	}
	return Synthetic(s, int64(n)), nil
}
