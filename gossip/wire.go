package gossip

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

// The doors' paths. Everything is read-only, and nothing asked here makes a node
// ask others the same question, so nothing goes in circles.
//
//	GET /v1/manifest                   the node's manifest, whole
//	GET /v1/manifest?epoch=E&seq=S     what has changed since that version
//	GET /v1/manifest?node=ID           another node's, as far as it is known here
//	GET /v1/lists/{digest}             a file list
//	GET /v1/lookup?type=&repo=&revision=&path=             what is known of a file
//	GET /v1/lookup?type=&repo=&commit=&path=&etag=&size=   who holds a blob
//	GET /v1/lookup?type=&repo=&path=&versions=1            which versions of a file are held
//	GET /v1/lookup?type=&repo=&revision=&claims=1          which commit a branch or tag is said to be
//	GET /v1/lookup?type=&repo=&commit=&tellers=1           whom to ask for a commit's files
//	GET /v1/lookup?type=&repo=&holdings=1                  who has how much of a repo, at which commits
//	GET /v1/lookup?type=&repo=&near=1                      repos that somebody has, of a similar name
//	GET /v1/tree?type=&repo=&commit=                       a commit's files, as this node knows them by itself
//	GET /v1/members?most=N             who is there: the node, and at most N others, any; all without N
//
// Manifests, lists and trees are as package manifest writes them, the rest is JSON.
// A request says in a header which swarm it means; a node of another swarm
// answers 421.
const (
	manifestPath = "/v1/manifest"
	listPath     = "/v1/lists/"
	lookupPath   = "/v1/lookup"
	treePath     = "/v1/tree"
	membersPath  = "/v1/members"
	swarmHeader  = "Hffs-Swarm"

	maxLookup  = 1 << 20 // bytes of a JSON answer
	maxAnswers = 8192    // nodes, claims or versions in one
	maxAge     = 100 * 365 * 24 * time.Hour
)

type wireNode struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Addr string `json:"addr,omitempty"`
	Self bool   `json:"self,omitempty"` // whoever answers; Addr is where it was asked
}

type wireBlob struct {
	ETag string `json:"etag"`
	Size int64  `json:"size"`
	Xet  string `json:"xet,omitempty"`
}

type wireKnown struct {
	Commit string    `json:"commit"`
	AgeMS  *int64    `json:"age_ms,omitempty"` // since the claim was learnt; none at a commit
	Node   wireNode  `json:"node"`
	Blob   *wireBlob `json:"blob,omitempty"`
}

type wireHolder struct {
	Node     wireNode `json:"node"`
	Complete bool     `json:"complete"`
	Bytes    int64    `json:"bytes"`
}

// wireVersion is what a path is at one of the commits that are held.
type wireVersion struct {
	Commit string   `json:"commit"`
	Blob   wireBlob `json:"blob"`
}

type wireLookup struct {
	Known    []wireKnown   `json:"known,omitempty"`
	Holders  []wireHolder  `json:"holders,omitempty"`
	Versions []wireVersion `json:"versions,omitempty"`
	Tellers  []wireNode    `json:"tellers,omitempty"`
	Holdings []wireHolding `json:"holdings,omitempty"`
	Near     []wireRepo    `json:"near,omitempty"`
}

type wireMember struct {
	wireNode
	Gossip  string `json:"gossip,omitempty"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	Version string `json:"version,omitempty"`
}

type wireMembers struct {
	Members []wireMember `json:"members"`
}

func (v view) wireNode(n directory.Node) wireNode {
	w := wireNode{ID: n.ID, Name: n.Name, Addr: n.Addr.String()}
	if v.self != nil && n.ID == v.self.ID {
		w.Addr, w.Self = "", true
	}
	return w
}

// fileQuery, blobQuery and so on write the kinds of look-up.
func fileQuery(f ref.File) url.Values {
	return url.Values{
		"type": {string(f.Repo.Type)}, "repo": {f.Repo.ID}, "revision": {f.Revision}, "path": {f.Path},
	}
}

func blobQuery(e ref.Entry) url.Values {
	return url.Values{
		"type": {string(e.Repo.Type)}, "repo": {e.Repo.ID}, "commit": {string(e.Commit)}, "path": {e.Path},
		"etag": {string(e.Blob.ETag)}, "size": {strconv.FormatInt(e.Blob.Size, 10)},
	}
}

func versionsQuery(repo ref.Repo, path string) url.Values {
	return url.Values{"type": {string(repo.Type)}, "repo": {repo.ID}, "path": {path}, "versions": {"1"}}
}

func claimsQuery(repo ref.Repo, revision string) url.Values {
	return url.Values{"type": {string(repo.Type)}, "repo": {repo.ID}, "revision": {revision}, "claims": {"1"}}
}

func commitQuery(repo ref.Repo, commit ref.Commit) url.Values {
	return url.Values{"type": {string(repo.Type)}, "repo": {repo.ID}, "commit": {string(commit)}}
}

func tellersQuery(repo ref.Repo, commit ref.Commit) url.Values {
	q := commitQuery(repo, commit)
	q.Set("tellers", "1")
	return q
}

func parseRepo(q url.Values) (ref.Repo, error) {
	t, err := ref.ParseType(q.Get("type"))
	if err != nil {
		return ref.Repo{}, err
	}
	return ref.ParseRepo(t, q.Get("repo"))
}

func parseFile(q url.Values) (ref.File, error) {
	repo, err := parseRepo(q)
	if err != nil {
		return ref.File{}, err
	}
	return ref.NewFile(repo, q.Get("revision"), q.Get("path"))
}

func parseEntry(q url.Values) (e ref.Entry, err error) {
	if e.Repo, err = parseRepo(q); err != nil {
		return e, err
	}
	if e.Commit, err = ref.ParseCommit(q.Get("commit")); err != nil {
		return e, err
	}
	if e.Path = q.Get("path"); e.Path != "" {
		if err = ref.CheckPath(e.Path); err != nil {
			return e, err
		}
	}
	size, err := strconv.ParseInt(q.Get("size"), 10, 64)
	if err != nil {
		return e, fmt.Errorf("size: %w", err)
	}
	e.Blob, err = wireBlob{ETag: q.Get("etag"), Size: size}.parse()
	return e, err
}

func parsePath(q url.Values) (repo ref.Repo, path string, err error) {
	if repo, err = parseRepo(q); err != nil {
		return repo, "", err
	}
	path = q.Get("path")
	return repo, path, ref.CheckPath(path)
}

func parseRevision(q url.Values) (repo ref.Repo, revision string, err error) {
	if repo, err = parseRepo(q); err != nil {
		return repo, "", err
	}
	revision = q.Get("revision")
	return repo, revision, ref.CheckRevision(revision)
}

func parseCommit(q url.Values) (repo ref.Repo, commit ref.Commit, err error) {
	if repo, err = parseRepo(q); err != nil {
		return repo, "", err
	}
	commit, err = ref.ParseCommit(q.Get("commit"))
	return repo, commit, err
}

func (w wireBlob) parse() (b ref.Blob, err error) {
	if b.ETag, err = ref.ParseETag(w.ETag); err != nil {
		return b, err
	}
	if w.Xet != "" {
		if b.Xet, err = ref.ParseXetHash(w.Xet); err != nil {
			return b, err
		}
	}
	b.Size = w.Size
	return b, ref.CheckSize(w.Size)
}

// parse takes a node that the one behind door spoke of.
func (w wireNode) parse(door netip.AddrPort) (directory.Node, error) {
	n := directory.Node{ID: w.ID, Name: cleanName(w.Name), Addr: door}
	if !nodeIDForm.MatchString(w.ID) {
		return n, fmt.Errorf("%w: node id %q", manifest.ErrMalformed, clip(w.ID))
	}
	if w.Self {
		return n, nil
	}
	addr, err := netip.ParseAddrPort(w.Addr)
	if err != nil {
		return n, fmt.Errorf("%w: address of %s", manifest.ErrMalformed, n.Name)
	}
	n.Addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return n, nil
}

// reachable tells whether the node behind door can mean us with an address: its
// loopback is not ours unless it is on this very machine.
func reachable(a netip.AddrPort, door netip.AddrPort) bool {
	ip := a.Addr()
	return a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() && (!ip.IsLoopback() || door.Addr().Unmap().IsLoopback())
}

func (w wireKnown) parse(f ref.File, door netip.AddrPort, now time.Time) (k Known, err error) {
	if k.Claim.Commit, err = ref.ParseCommit(w.Commit); err != nil {
		return k, err
	}
	if k.Claim.Node, err = w.Node.parse(door); err != nil {
		return k, err
	}
	if w.AgeMS != nil {
		if *w.AgeMS < 0 || *w.AgeMS > maxAge.Milliseconds() {
			return k, fmt.Errorf("%w: age %d", manifest.ErrMalformed, *w.AgeMS)
		}
		k.Claim.Learnt = now.Add(-time.Duration(*w.AgeMS) * time.Millisecond)
	}
	if w.Blob != nil {
		k.HasEntry = true
		k.Entry = ref.Entry{Repo: f.Repo, Commit: k.Claim.Commit, Path: f.Path}
		k.Entry.Blob, err = w.Blob.parse()
	}
	return k, err
}

func (w wireHolder) parse(e ref.Entry, door netip.AddrPort) (h directory.Holder, err error) {
	if h.Node, err = w.Node.parse(door); err != nil {
		return h, err
	}
	if w.Bytes < 0 || w.Bytes > e.Blob.Size {
		return h, fmt.Errorf("%w: %d bytes of %d", manifest.ErrMalformed, w.Bytes, e.Blob.Size)
	}
	h.Complete, h.Bytes = w.Complete, w.Bytes
	return h, nil
}

func (w wireVersion) parse(repo ref.Repo, path string) (e ref.Entry, err error) {
	e = ref.Entry{Repo: repo, Path: path}
	if e.Commit, err = ref.ParseCommit(w.Commit); err != nil {
		return e, err
	}
	e.Blob, err = w.Blob.parse()
	return e, err
}

// decodeKnown, decodeHolders and so on read the answers to look-ups. One bad name in an
// answer spoils all of it: a node that sends one is not to be believed.
func decodeKnown(b []byte, f ref.File, door netip.AddrPort, now time.Time) ([]Known, error) {
	w, err := decodeLookup(b)
	if err != nil {
		return nil, err
	}
	var out []Known
	for _, item := range w.Known {
		k, err := item.parse(f, door, now)
		if err != nil {
			return nil, err
		}
		if reachable(k.Claim.Node.Addr, door) {
			out = append(out, k)
		}
	}
	return out, nil
}

func decodeHolders(b []byte, e ref.Entry, door netip.AddrPort) ([]directory.Holder, error) {
	w, err := decodeLookup(b)
	if err != nil {
		return nil, err
	}
	var out []directory.Holder
	for _, item := range w.Holders {
		h, err := item.parse(e, door)
		if err != nil {
			return nil, err
		}
		if reachable(h.Node.Addr, door) {
			out = append(out, h)
		}
	}
	return out, nil
}

func decodeVersions(b []byte, repo ref.Repo, path string) ([]ref.Entry, error) {
	w, err := decodeLookup(b)
	if err != nil {
		return nil, err
	}
	var out []ref.Entry
	for _, item := range w.Versions {
		e, err := item.parse(repo, path)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out[:min(len(out), maxVersions)], nil
}

func decodeClaims(b []byte, door netip.AddrPort, now time.Time) (out []directory.Claim, err error) {
	known, err := decodeKnown(b, ref.File{}, door, now)
	for _, k := range known[:min(len(known), maxKnown)] {
		out = append(out, k.Claim)
	}
	return out, err
}

func decodeTellers(b []byte, door netip.AddrPort) (out []directory.Node, err error) {
	w, err := decodeLookup(b)
	if err != nil {
		return nil, err
	}
	for _, item := range w.Tellers {
		n, err := item.parse(door)
		if err != nil {
			return nil, err
		}
		if reachable(n.Addr, door) {
			out = append(out, n)
		}
	}
	return out[:min(len(out), maxTellers)], nil
}

func decodeLookup(b []byte) (w wireLookup, err error) {
	if err := decodeJSON(b, &w); err != nil {
		return w, err
	}
	if max(len(w.Known), len(w.Holders), len(w.Versions), len(w.Tellers), len(w.Holdings), len(w.Near)) > maxAnswers {
		return w, fmt.Errorf("%w: too many answers", manifest.ErrMalformed)
	}
	return w, nil
}

// decodeMembers reads who answers, and whom it knows.
func decodeMembers(b []byte, door netip.AddrPort) (self, others []directory.Node, err error) {
	var w wireMembers
	if err := decodeJSON(b, &w); err != nil {
		return nil, nil, err
	}
	if len(w.Members) > maxAnswers {
		return nil, nil, fmt.Errorf("%w: too many members", manifest.ErrMalformed)
	}
	for _, m := range w.Members {
		n, err := m.wireNode.parse(door)
		switch {
		case err != nil:
			return nil, nil, err
		case m.Self:
			self = append(self[:0], n)
		case reachable(n.Addr, door):
			others = append(others, n)
		}
	}
	return self, others, nil
}

func decodeJSON(b []byte, into any) error {
	if len(b) > maxLookup {
		return fmt.Errorf("%w: %d bytes", manifest.ErrMalformed, len(b))
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %v", manifest.ErrMalformed, err)
	}
	return nil
}
