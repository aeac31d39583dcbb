package xet_test

import (
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
