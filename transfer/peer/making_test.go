package peer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/transfer/source"
)

func FuzzParseMaking(f *testing.F) {
	for _, text := range []string{"", "0 0", "1 9223372036854775807", "2 1", "1 -1", "1 9223372036854775808", "1 1 1", "1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := parseMaking(text)
		if !ok {
			require.Zero(t, m)
			return
		}
		require.GreaterOrEqual(t, m.Done, int64(0))
		again, ok := parseMaking(formatMaking(m))
		require.True(t, ok)
		require.Equal(t, m, again)
	})
}

func TestParseMaking(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]source.Making{"0 0": {}, "1 9223372036854775807": {Begun: true, Done: 1<<63 - 1}} {
		m, ok := parseMaking(text)
		require.True(t, ok, text)
		require.Equal(t, want, m)
	}
	for _, text := range []string{"", "2 1", "1 -1", "1 9223372036854775808", "1", "1 1 1", "0 00000000000000000000000000001"} {
		_, ok := parseMaking(text)
		require.False(t, ok, text)
	}
}
