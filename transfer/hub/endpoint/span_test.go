package endpoint

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header string
		size   int64
		want   span
		ok     bool
	}{
		{"", 10, span{0, 10, false}, true},
		{"bytes=0-", 10, span{0, 10, true}, true},
		{"Bytes = 2-3", 10, span{2, 2, true}, true},
		{"bytes=2-3,", 10, span{2, 2, true}, true},
		{"bytes=2-99", 10, span{2, 8, true}, true},
		{"bytes=9-9", 10, span{9, 1, true}, true},
		{"bytes=-99", 10, span{0, 10, true}, true},
		{"bytes=2-99999999999999999999999", 10, span{2, 8, true}, true},
		{"bytes=-99999999999999999999999", 10, span{0, 10, true}, true},
		{"bytes=0-1,3-4", 10, span{0, 10, false}, true},
		{"items=0-1", 10, span{0, 10, false}, true},
		{"bytes=0-0", 0, span{}, true},
		{"bytes=10-", 10, span{}, false},
		{"bytes=99999999999999999999999-", 10, span{}, false},
		{"bytes=3-2", 10, span{}, false},
		{"bytes=-0", 10, span{}, false},
		{"bytes=-", 10, span{}, false},
		{"bytes=", 10, span{}, false},
		{"bytes", 10, span{}, false},
		{"bytes=a-b", 10, span{}, false},
		{"bytes=+1-2", 10, span{}, false},
		{"bytes=1 - 2", 10, span{}, false},
	} {
		got, ok := spanOf(c.header, c.size)
		require.Equal(t, c.ok, ok, c.header)
		if ok {
			require.Equal(t, c.want, got, c.header)
		}
	}
}

func FuzzSpan(f *testing.F) {
	for _, s := range []string{"bytes=0-", "bytes=-5", "bytes=1-2,3-4", "bytes=9223372036854775807-9223372036854775807", "bytes=0--1", "x"} {
		f.Add(s, int64(10))
	}
	f.Add("bytes=0-9223372036854775807", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		s, ok := spanOf(header, size)
		if !ok {
			return
		}
		inside := s.off >= 0 && s.n >= 0 && s.off <= size-s.n
		if !inside || s.part && s.n == 0 || !s.part && (s.off != 0 || s.n != size) || s.part && strings.Contains(header, ",") && strings.Count(header, "-") > 1 {
			t.Fatalf("%q of %d gave %+v", header, size, s)
		}
	})
}
