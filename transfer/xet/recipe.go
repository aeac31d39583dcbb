package xet

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/xorb"
)

// A recipe says how a part of a blob is put together: terms one after the other,
// and how many bytes of the first come before the part begins.
type recipe struct {
	skip  int64
	terms []term
}

// A term is a run of chunks in a xorb, and the fetch that brings them.
type term struct {
	xorb       string
	start, end int
	size       int64 // of its chunks, unpacked
	from       *fetch
}

// A fetch is one request for data: the bytes first to last of a xorb are the
// chunks from start up to end. A signed URL gives its ranges whole or not at all.
type fetch struct {
	url         *url.URL
	start, end  int
	first, last int64
	terms       int // how many need it
}

func (f *fetch) length() int64 { return f.last - f.first + 1 }

var errRecipe = errors.New("its recipe makes no sense")

// recipe asks how the n bytes from off are put together. What CAS understands
// which form is remembered only once it has answered: a 404 may be about the
// file.
func (c *Client) recipe(w *watch, e ref.Entry, off, n int64) (*recipe, error) {
	token, err := c.tokens.get(w.ctx, e)
	if err != nil {
		return nil, err
	}
	cas, err := url.Parse(token.CAS)
	if err != nil {
		return nil, errors.New("the token's CAS is no URL")
	}
	form, known := c.formOf(cas.Host)
	r, err := c.askRecipe(w, e, token, cas, form, off, n)
	if said, ok := errors.AsType[*Error](err); ok && !known &&
		(said.Status == http.StatusNotFound || said.Status == http.StatusNotImplemented) {
		form = formV1
		r, err = c.askRecipe(w, e, token, cas, form, off, n)
	}
	if err == nil && !known {
		c.setForm(cas.Host, form)
	}
	return r, err
}

func (c *Client) formOf(host string) (form string, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if form, known = c.forms[host]; known {
		return form, true
	}
	return formV2, false
}

func (c *Client) setForm(host, form string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.forms) >= maxTokens {
		clear(c.forms)
	}
	c.forms[host] = form
}

func (c *Client) askRecipe(w *watch, e ref.Entry, token Token, cas *url.URL, form string, off, n int64) (*recipe, error) {
	u, err := url.Parse(token.CAS + "/" + form + "/reconstructions/" + string(e.Blob.Xet))
	if err != nil {
		return nil, errors.New("the token's CAS is no URL")
	}
	resp, err := c.send(w.ctx, u, token.Access, span(off, n))
	if err != nil {
		return nil, fault(cas.Host, nil, "%v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		if resp.StatusCode == http.StatusUnauthorized {
			c.tokens.drop(w.ctx, e, token)
		}
		return nil, refusal(w, cas.Host, resp)
	}
	body, err := readAnswer(w, resp)
	if err != nil {
		return nil, fault(cas.Host, resp, "broke off: %v", err)
	}
	r, err := parseRecipe(body, n, cas.Scheme == "https")
	if err != nil {
		return nil, fault(cas.Host, resp, "%v", err)
	}
	return r, nil
}

// readAnswer reads a body of limited length, unpacked as far as it was packed.
func readAnswer(w *watch, resp *http.Response) ([]byte, error) {
	var from io.Reader = watched{resp.Body, w}
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, err
		}
		from = z
	}
	return io.ReadAll(io.LimitReader(from, maxAnswer+1))
}

func nonsense(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errRecipe, fmt.Sprintf(format, args...))
}

// parseRecipe checks all that can be checked before the data is there: every
// term has a fetch that holds it, lengths are possible, and the terms cover the
// n bytes asked for. secure: data may come over TLS only, as the recipe did.
func parseRecipe(body []byte, n int64, secure bool) (*recipe, error) {
	if len(body) > maxAnswer {
		return nil, nonsense("more than %d bytes", maxAnswer)
	}
	var wire wireRecipe
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, nonsense("no JSON") // the parser would quote from it, and URLs are signed
	}
	fetches, err := wire.fetches(secure)
	if err != nil {
		return nil, err
	}
	if len(wire.Terms) == 0 || len(wire.Terms) > maxTerms {
		return nil, nonsense("%d terms", len(wire.Terms))
	}
	r := &recipe{skip: wire.Skip, terms: make([]term, len(wire.Terms))}
	var total int64
	for i, t := range wire.Terms {
		if r.terms[i], err = t.term(fetches[t.Hash]); err != nil {
			return nil, err
		}
		total += t.Length
	}
	switch {
	case r.skip < 0 || r.skip >= r.terms[0].size:
		return nil, nonsense("%d bytes to skip of a term of %d", r.skip, r.terms[0].size)
	case total-r.skip < n:
		return nil, nonsense("it makes %d bytes of %d", total-r.skip, n)
	case total-r.terms[len(r.terms)-1].size-r.skip >= n:
		return nil, nonsense("it goes on behind the bytes asked for") // as when the range was ignored
	}
	return r, nil
}

func (t wireTerm) term(fetches []*fetch) (term, error) {
	if _, err := chunk.ParseHash(t.Hash); err != nil {
		return term{}, nonsense("a term of no xorb")
	}
	chunks := t.Range.End - t.Range.Start
	if !t.Range.isChunks() || t.Length < chunks || t.Length > chunks*xorb.MaxChunk {
		return term{}, nonsense("a term of %d bytes in chunks %d to %d", t.Length, t.Range.Start, t.Range.End)
	}
	out := term{xorb: t.Hash, start: int(t.Range.Start), end: int(t.Range.End), size: t.Length}
	// Fetches are sorted by their start; the one wanted is the last that begins in
	// time, or, where some lie inside others, one before it.
	i := sort.Search(len(fetches), func(i int) bool { return fetches[i].start > out.start })
	for k := i - 1; k >= max(0, i-8); k-- {
		if f := fetches[k]; f.end >= out.end {
			f.terms++
			out.from = f
			return out, nil
		}
	}
	return term{}, nonsense("no data for chunks %d to %d of a xorb", out.start, out.end)
}

// fetches are the requests for data by xorb, whichever form told of them.
func (w *wireRecipe) fetches(secure bool) (map[string][]*fetch, error) {
	set := fetchSet{all: map[string][]*fetch{}, secure: secure}
	for hash, list := range w.Xorbs {
		for _, x := range list {
			if err := set.add(hash, x.URL, x.Ranges); err != nil {
				return nil, err
			}
		}
	}
	for hash, list := range w.FetchInfo {
		for _, x := range list {
			if err := set.add(hash, x.URL, []wireRanges{{x.Range, x.URLRange}}); err != nil {
				return nil, err
			}
		}
	}
	for _, list := range set.all {
		slices.SortFunc(list, func(a, b *fetch) int { return a.start - b.start })
	}
	return set.all, nil
}

type fetchSet struct {
	all    map[string][]*fetch
	count  int
	secure bool
}

func (s *fetchSet) add(hash, address string, ranges []wireRanges) error {
	u, err := dataURL(address, s.secure)
	if err != nil {
		return err
	}
	if s.count += len(ranges); s.count > maxRanges {
		return nonsense("more than %d ranges", maxRanges)
	}
	for _, r := range ranges {
		f := &fetch{url: u, start: int(r.Chunks.Start), end: int(r.Chunks.End), first: r.Bytes.Start, last: r.Bytes.End}
		if !r.Chunks.isChunks() || !r.Bytes.isBytes() || f.length() < int64(f.end-f.start)*xorb.HeaderLen {
			return nonsense("chunks %d to %d in bytes %d to %d", r.Chunks.Start, r.Chunks.End, r.Bytes.Start, r.Bytes.End)
		}
		s.all[hash] = append(s.all[hash], f)
	}
	return nil
}

// dataURL reads where data is. The URL itself is a secret for as long as its
// signature is good, so errors do not show it.
func dataURL(s string, secure bool) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > maxURL || u.Host == "" || u.User != nil:
		return nil, nonsense("data at no URL")
	case u.Scheme != "https" && (u.Scheme != "http" || secure && !isLoopback(u.Hostname())):
		return nil, nonsense("data without TLS")
	}
	return u, nil
}
