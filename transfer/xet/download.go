package xet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"hffs/transfer/xorb"
)

// A download is one request for data and how far it is read.
type download struct {
	fetch  *fetch
	body   io.ReadCloser
	chunks *xorb.Reader
	chunk  int // the next
}

func (d *download) close() { _ = d.body.Close() }

// next gives the next chunk, or passes over it.
func (d *download) next(skip bool) (data []byte, err error) {
	if d.chunk >= d.fetch.end {
		return nil, d.fault(errors.New("has fewer chunks than announced"))
	}
	if skip {
		_, err = d.chunks.Skip()
	} else {
		data, err = d.chunks.Next()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, d.fault(err)
	}
	d.chunk++
	if d.chunk == d.fetch.end && d.chunks.Offset() != d.fetch.length() {
		return nil, d.fault(errors.New("has more chunks than announced"))
	}
	return data, nil
}

func (d *download) fault(err error) error {
	e := fault(d.fetch.url.Host, nil, "sent data that cannot be used: %v", err)
	e.kinds = append(e.kinds, err)
	return e
}

// download asks for data. It carries no token, so it may follow where it is sent.
func (c *Client) download(w *watch, f *fetch) (*download, error) {
	u := f.url
	for range maxHops {
		resp, err := w.inTime(func(ctx context.Context) (*http.Response, error) {
			return c.send(ctx, u, "", span(f.first, f.length()))
		})
		if err != nil {
			e := fault(u.Host, nil, "%v", err)
			if errors.Is(err, errStalled) {
				e.kinds = append(e.kinds, errStalled)
			}
			return nil, e
		}
		if resp.StatusCode/100 != 3 {
			return accept(w, f, resp, u.Host)
		}
		_ = resp.Body.Close()
		next, err := u.Parse(resp.Header.Get("Location"))
		if err != nil || resp.Header.Get("Location") == "" {
			return nil, fault(u.Host, resp, "redirects to no address")
		}
		if next, err = dataURL(next.String(), u.Scheme == "https"); err != nil {
			return nil, fault(u.Host, resp, "redirects wrongly: %v", err)
		}
		u = next
	}
	return nil, fault(u.Host, nil, "redirects without end")
}

// accept demands exactly the range. An answer with the whole xorb would be read
// from the wrong place.
func accept(w *watch, f *fetch, resp *http.Response, host string) (*download, error) {
	err := check(w, f, resp, host)
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	body := watched{resp.Body, w}
	return &download{fetch: f, body: resp.Body, chunks: xorb.NewReader(io.LimitReader(body, f.length())), chunk: f.start}, nil
}

func check(w *watch, f *fetch, resp *http.Response, host string) error {
	enc := resp.Header.Get("Content-Encoding")
	switch {
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized:
		// Expired, most often; the host has the same answer for what it does not
		// like otherwise, so tries are counted.
		e := refusal(w, host, resp)
		e.kinds = []error{ErrUnavailable, errStale}
		return e
	case resp.StatusCode >= 400:
		e := refusal(w, host, resp)
		e.kinds = []error{ErrUnavailable} // about a xorb, not about the blob
		return e
	case resp.StatusCode != http.StatusPartialContent:
		return fault(host, resp, "did not answer with the range asked for")
	case enc != "" && !strings.EqualFold(enc, "identity"):
		return fault(host, resp, "sent the data in another encoding")
	}
	said, _, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	if want := fmt.Sprintf("bytes %d-%d", f.first, f.last); said != want {
		return fault(host, resp, "sent %q, not %q", said, want)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != f.length() {
		return fault(host, resp, "sends %d bytes where %d belong", resp.ContentLength, f.length())
	}
	return nil
}
