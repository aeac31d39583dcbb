package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"hffs/cache/ref"
)

// facts is what the hops of one HEAD say of a file, together. A regular file
// needs two: the Hub's 307 names the commit (and lately the etag), the 200
// behind it the size. For an LFS file all stands on the Hub's 302. A renamed
// repo puts hops in front that say nothing.
type facts struct {
	commit ref.Commit
	etag   ref.ETag
	size   int64 // -1 until known
	xet    ref.XetHash
}

func (k *facts) complete() bool { return k.commit != "" && k.etag != "" && k.size >= 0 }

var errOtherHop = errors.New("its hops do not agree on what the file is")

// read takes what one hop says. Only hops with a commit are the Hub's, so only
// their etags count; the size may also be that of the answer at the end.
func (k *facts) read(resp *http.Response) error {
	if v := resp.Header.Get(headerCommit); v != "" {
		if err := k.readHub(v, resp); err != nil {
			return err
		}
	}
	if resp.StatusCode != http.StatusOK || k.size >= 0 {
		return nil
	}
	switch {
	case k.commit == "" && isPage(resp):
		return errors.New("served a web page instead of a file")
	case k.commit == "" || k.etag == "":
		return errors.New("its answer lacks the Hub's headers (commit, etag)")
	case isEncoded(resp) || resp.ContentLength < 0:
		return errors.New("its answer does not tell the file's size")
	}
	k.size = resp.ContentLength
	return ref.CheckSize(k.size)
}

func (k *facts) readHub(commit string, resp *http.Response) error {
	id, err := ref.ParseCommit(commit)
	if err != nil {
		return err
	}
	if k.commit != "" && k.commit != id {
		return errOtherHop
	}
	k.commit = id
	if err := k.readETag(resp); err != nil {
		return err
	}
	if v := resp.Header.Get(headerLinkedSize); v != "" {
		if k.size, err = strconv.ParseInt(v, 10, 64); err != nil {
			return fmt.Errorf("linked size %q is no number", clean(v))
		}
		if err := ref.CheckSize(k.size); err != nil {
			return err
		}
	}
	// A redacted or odd Xet hash is no reason to do without the file.
	if xet, err := ref.ParseXetHash(resp.Header.Get(headerXetHash)); err == nil {
		k.xet = xet
	}
	return nil
}

func (k *facts) readETag(resp *http.Response) error {
	v := resp.Header.Get(headerLinkedETag)
	if v == "" && resp.StatusCode == http.StatusOK {
		v = resp.Header.Get("Etag")
	}
	if v == "" {
		return nil
	}
	etag, err := ref.ParseETag(v)
	if err != nil {
		return err
	}
	if k.etag != "" && k.etag != etag {
		return errOtherHop
	}
	k.etag = etag
	return nil
}

// resolveAt walks the hops of one endpoint until the facts are complete, and
// keeps where the bytes are for the first Open.
func (c *Client) resolveAt(ctx context.Context, ep *endpoint, f ref.File) (ref.Entry, error) {
	u, err := ep.resolveURL(f)
	if err != nil {
		return ref.Entry{}, err
	}
	at, err := c.start(ctx, ep, u)
	if err != nil {
		return ref.Entry{}, err
	}
	known := facts{size: -1}
	for range maxHops {
		resp, err := c.head(ctx, ep, at)
		if err != nil {
			return ref.Entry{}, err
		}
		if err := known.read(resp); err != nil {
			return ref.Entry{}, ep.fault(resp, "%v", err)
		}
		if isRedirect(resp) {
			if at, err = at.follow(resp); err != nil {
				return ref.Entry{}, ep.fault(resp, "%v", err)
			}
		}
		if known.complete() {
			return c.settle(ctx, ep, f, known, at)
		}
		if !isRedirect(resp) {
			return ref.Entry{}, ep.fault(resp, "its answer lacks the Hub's headers (commit, etag, size)")
		}
	}
	return ref.Entry{}, ep.fault(nil, "redirects without end")
}

// head makes one HEAD and turns whatever is neither a file nor a redirect into
// an error.
func (c *Client) head(ctx context.Context, ep *endpoint, at hop) (*http.Response, error) {
	resp, err := c.send(ctx, c.heads, http.MethodHead, at, "")
	if err != nil {
		return nil, ep.fault(nil, "%v", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 400 {
		return nil, ep.refusal(resp, at.away, at.token)
	}
	if resp.StatusCode != http.StatusOK && !isRedirect(resp) {
		return nil, ep.fault(resp, "that is no answer to this question")
	}
	return resp, nil
}

func (c *Client) settle(ctx context.Context, ep *endpoint, f ref.File, k facts, at hop) (ref.Entry, error) {
	if want, err := ref.ParseCommit(f.Revision); err == nil && want != k.commit {
		return ref.Entry{}, ep.fault(nil, "answered for commit %s when asked for %s", k.commit, want)
	}
	e := ref.Entry{Repo: f.Repo, Commit: k.commit, Path: f.Path, Blob: ref.Blob{ETag: k.etag, Size: k.size, Xet: k.xet}}
	c.links.put(ep, c.whose(ctx), e, at, c.now())
	return e, nil
}
