package node

import (
	"context"
	"io"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/source"
	"hffs/transfer/xet"
)

// hubSources are the ways to the Hub for a blob: by the Xet protocol first, where
// the Hub stores it so, then the endpoints, which take its place silently.
func hubSources(h *hub.Client, x *xet.Client) func(ref.Entry) []source.Source {
	return func(e ref.Entry) (all []source.Source) {
		if x != nil && e.Blob.Xet != "" {
			all = append(all, byXet{x, e})
		}
		return append(all, h.Sources(e)...)
	}
}

func newXet(cfg Config, h *hub.Client) *xet.Client {
	if cfg.NoXet || cfg.Hub.Offline {
		return nil
	}
	return xet.New(xet.Config{
		Token: func(ctx context.Context, e ref.Entry) (xet.Token, error) {
			t, err := h.XetToken(ctx, e)
			return xet.Token(t), err
		},
		UserAgent: cfg.Hub.UserAgent, Log: cfg.Log,
	})
}

// byXet is the CAS as a source that asks for a token only when it is first used.
type byXet struct {
	client *xet.Client
	entry  ref.Entry
}

func (byXet) Name() string      { return "xet" }
func (byXet) Kind() source.Kind { return source.Hub }

func (x byXet) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	s, err := x.client.Source(ctx, x.entry)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, e, off, n)
}
