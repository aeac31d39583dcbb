package xet_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
	"hffs/transfer/xet"
)

// BenchmarkOpen reads 64 MiB that do not shrink, and as many that do, over
// loopback from the stand-in.
func BenchmarkOpen(b *testing.B) {
	const size = 64 << 20
	for name, content := range map[string][]byte{"noise": noise(size), "weights": weights(size)} {
		b.Run(name, func(b *testing.B) {
			h := standin.New()
			c, err := h.OverXet(standin.Bytes(content), chunk.Current)
			require.NoError(b, err)
			h.Add(tiny, "", map[string]standin.Content{"model.bin": c})
			run, err := h.Start("127.0.0.1:0", "127.0.0.1:0")
			require.NoError(b, err)
			defer run.Close()
			hubSide, err := hub.New(hub.Config{Endpoints: []string{run.URL()}})
			require.NoError(b, err)
			defer hubSide.Close()
			e, err := hubSide.Resolve(b.Context(), ref.File{Repo: tiny, Revision: "main", Path: "model.bin"})
			require.NoError(b, err)
			client := xet.New(xet.Config{Token: (&world{hubSide: hubSide}).token})
			defer client.Close()
			s, err := client.Source(b.Context(), e)
			require.NoError(b, err)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				r, err := s.Open(b.Context(), e, 0, size)
				require.NoError(b, err)
				n, err := io.Copy(io.Discard, r)
				require.NoError(b, err)
				require.EqualValues(b, size, n)
				require.NoError(b, r.Close())
			}
		})
	}
}

// BenchmarkSpans reads 64 MiB in spans that know nothing of chunks, and tells how
// many bytes the CAS sends for each of the blob as it is packed: the chunks at the
// seams come twice. Spans of whole chunks are there for comparison.
func BenchmarkSpans(b *testing.B) {
	const size = 64 << 20
	for _, kind := range []string{"noise", "weights"} {
		content := noise(size)
		if kind == "weights" {
			content = weights(size)
		}
		s := newShelf(b, chunk.Current, content)
		from, err := s.c.Source(b.Context(), s.entries[0])
		require.NoError(b, err)
		read := func(off, n int64) {
			r, err := from.Open(b.Context(), s.entries[0], off, n)
			require.NoError(b, err)
			_, err = io.Copy(io.Discard, r)
			require.NoError(b, err)
			require.NoError(b, r.Close())
		}
		s.hub.ResetLog()
		read(0, size)
		packed := s.hub.XorbBytes()
		for _, span := range []int64{1 << 20, 4 << 20, 16 << 20, 64 << 20} {
			for _, whole := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/%dMiB/whole=%v", kind, span>>20, whole), func(b *testing.B) {
					b.SetBytes(size)
					s.hub.ResetLog()
					for b.Loop() {
						for off, end := int64(0), int64(0); off < size; off = end {
							end = min(off+span, size)
							if m := s.maps[0]; whole && end < size {
								end = m.Offset(m.At(end))
							}
							read(off, end-off)
						}
					}
					b.ReportMetric(float64(s.hub.XorbBytes())/float64(packed)/float64(b.N), "sent/packed")
				})
			}
		}
	}
}
