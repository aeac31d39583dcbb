package transfer

import (
	"context"
	"log/slog"
	"time"

	"hffs/cache/ref"
	"hffs/transfer/source"
)

// What is done for a file, for the log: a line when it is here, and who has brought it.

// fetched tells of a file that has come, and which bytes of it from whom. One that was
// fetched among others has no time of its own.
func (t *Transfer) fetched(e ref.Entry, from []SourceState, took time.Duration) {
	ctx := context.Background()
	if !t.cfg.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := append([]slog.Attr{slog.Any("file", e), slog.Int64("bytes", e.Blob.Size)}, byKind(from)...)
	if took > 0 {
		attrs = append(attrs, slog.Duration("took", took.Round(time.Millisecond)))
	}
	t.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "fetched", attrs...)
}

// byKind is how many bytes came from each kind of source, and from which peers.
func byKind(from []SourceState) (attrs []slog.Attr) {
	sums := map[source.Kind]int64{}
	var kinds []source.Kind
	var peers []string
	for _, s := range from {
		if s.Bytes == 0 {
			continue
		}
		if sums[s.Kind] == 0 {
			kinds = append(kinds, s.Kind)
		}
		sums[s.Kind] += s.Bytes
		if s.Kind == source.Peer {
			peers = append(peers, s.Name)
		}
	}
	for _, k := range kinds {
		attrs = append(attrs, slog.Int64("from_"+string(k), sums[k]))
	}
	if peers != nil {
		attrs = append(attrs, slog.Any("peers", peers))
	}
	return attrs
}

// foundHere tells of a file that need not be fetched.
func (t *Transfer) foundHere(e ref.Entry) {
	t.cfg.Log.LogAttrs(context.Background(), slog.LevelInfo, "it is on this machine already", slog.Any("file", e), slog.Int64("bytes", e.Blob.Size))
}
