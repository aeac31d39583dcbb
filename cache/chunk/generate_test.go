package chunk

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// generator describes the input of a vector, as the vector file's own
// "generators" does in words.
type generator struct {
	Kind    string
	Seed    string
	Len     int
	Byte    byte
	Pattern string `json:"pattern_hex"`
	Start   uint32
	Parts   []generator
	Of      *generator
	From    int
	To      int
}

func (g generator) bytes(t testing.TB) []byte {
	t.Helper()
	switch g.Kind {
	case "const":
		return bytes.Repeat([]byte{g.Byte}, g.Len)
	case "repeat":
		pattern, err := hex.DecodeString(g.Pattern)
		require.NoError(t, err)
		return fill(g.Len, func(b []byte) []byte { return append(b, pattern...) })
	case "counter32":
		n := g.Start - 1
		return fill(g.Len, func(b []byte) []byte { n++; return binary.LittleEndian.AppendUint32(b, n) })
	case "concat":
		var all []byte
		for _, p := range g.Parts {
			all = append(all, p.bytes(t)...)
		}
		return all
	case "slice":
		return g.Of.bytes(t)[g.From:g.To]
	}
	return g.random(t)
}

func (g generator) random(t testing.TB) []byte {
	t.Helper()
	seed, err := strconv.ParseUint(g.Seed, 10, 64)
	require.NoError(t, err)
	next := splitmix(seed)
	switch g.Kind {
	case "splitmix64":
		return fill(g.Len, func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, next()) })
	case "xorshift64":
		return fill(g.Len, func(b []byte) []byte {
			seed ^= seed << 13
			seed ^= seed >> 7
			seed ^= seed << 17
			return binary.LittleEndian.AppendUint64(b, seed)
		})
	case "xorshift32low8":
		x := uint32(seed)
		return fill(g.Len, func(b []byte) []byte {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
			return append(b, byte(x))
		})
	case "bf16ish":
		return fill(g.Len, func(b []byte) []byte { return appendBF16(b, next()) })
	case "f32ish":
		return fill(g.Len, func(b []byte) []byte { return appendF32(b, next(), 0x83) })
	case "f32const":
		return fill(g.Len, func(b []byte) []byte { return appendF32(b, next(), 0) })
	case "text":
		return fill(g.Len, func(b []byte) []byte { return appendText(b, next()) })
	}
	require.Fail(t, "unknown generator", g.Kind)
	return nil
}

// fill calls more until there are n bytes.
func fill(n int, more func([]byte) []byte) []byte {
	b := make([]byte, 0, n+256)
	for len(b) < n {
		b = more(b)
	}
	return b[:n]
}

func splitmix(s uint64) func() uint64 {
	return func() uint64 {
		s += 0x9E3779B97F4A7C15
		z := s
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		return z ^ z>>31
	}
}

func appendBF16(b []byte, z uint64) []byte {
	for k := 0; k < 64; k += 16 {
		b = append(b, byte(z>>k), 0x3c|byte(z>>(k+8))&0x83)
	}
	return b
}

func appendF32(b []byte, z uint64, signs byte) []byte {
	for k := 0; k < 64; k += 32 {
		b = append(b, byte(z>>k), byte(z>>(k+8)), byte(z>>(k+16)), 0x3c|byte(z>>(k+24))&signs)
	}
	return b
}

var words = strings.Fields("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi")

func appendText(b []byte, z uint64) []byte {
	for k := range 16 {
		b = append(b, words[z>>(4*k)&15]...)
		b = append(b, "               \n"[k])
	}
	return b
}

// random is n bytes in which nothing repeats.
func random(seed uint64, n int) []byte {
	next := splitmix(seed)
	return fill(n, func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, next()) })
}
