package ui

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                          "",
		"plain name.bin":            "plain name.bin",
		"权重 é 👍":                    "权重 é 👍",
		"\x1b[31mred":               `\x1b[31mred`,
		"a\nb\r\tc":                 `a\nb\r\tc`,
		"c1 \u009b2J":               `c1 \u009b2J`,
		"broken \xff\x9b":           `broken \xff\x9b`,
		"\u202egnp.exe":             `\u202egnp.exe`,
		"zero\u200bwidth\u2028line": `zero\u200bwidth\u2028line`,
	} {
		require.Equal(t, want, Clean(in))
	}
}

func TestCuts(t *testing.T) {
	t.Parallel()
	require.Equal(t, "abc", cut("abc", 3))
	require.Equal(t, "ab…", cut("abcd", 3))
	require.Equal(t, "权…", cut("权重模型", 4), "half a character is none")
	require.Equal(t, "e\u0301…", cut("e\u0301bc", 2), "marks stay with their letter")
	require.Empty(t, cut("abc", 0))
	require.Equal(t, "mode…ensors", cutMiddle("model.safetensors", 11))
	require.Equal(t, "abc…", cutMiddle("abcdefgh", 4))
}

func FuzzCut(f *testing.F) {
	f.Add("model.safetensors", 10)
	f.Add("权重👩‍👩‍👧‍👦🇩🇪e\u0301\x1b\xff", 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = (n & 0xffff) % 64
		s = Clean(s)
		require.True(t, isClean(s))
		require.LessOrEqual(t, cells(cut(s, n)), n)
		require.LessOrEqual(t, cells(cutMiddle(s, n)), n)
	})
}

func TestUnits(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1.4 GB", Size(1_400_000_000))
	require.Equal(t, "0 B", Size(-1))
	require.Equal(t, "94 MB/s", Rate(94e6))
	require.Equal(t, "0 B/s", Rate(math.NaN()))
	require.Equal(t, "0 B/s", Rate(-1))
	require.NotEmpty(t, Rate(math.Inf(1)))
	for d, want := range map[time.Duration]string{
		-time.Second:                     "0ms",
		350 * time.Millisecond:           "350ms",
		3 * time.Second:                  "3s",
		3240 * time.Millisecond:          "3.2s",
		9999 * time.Millisecond:          "10s",
		59*time.Second + 600e6:           "1m",
		80 * time.Second:                 "1m 20s",
		2*time.Hour + 5*time.Minute:      "2h 5m",
		76*time.Hour + 30*time.Minute:    "3d 4h",
		24*time.Hour - time.Nanosecond:   "1d",
		time.Hour + 30*time.Second:       "1h",
		time.Duration(math.MaxInt64 / 2): "53375d 23h",
	} {
		require.Equal(t, want, Duration(d))
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1.2/2.6 GB", sizes(1_222_000_000, 2_600_000_000))
	require.Equal(t, "0.0/2.6 GB", sizes(1000, 2_600_000_000))
	require.Equal(t, "12/940 kB", sizes(12_000, 940_000))
	require.Equal(t, "12/570 B", sizes(12, 570))
}

func TestTable(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	Table(&b, []string{"node", "addr", "size", "rate", "seen", "took"}, [][]string{
		{"lab-desk3", "192.168.1.5", "1.4 GB", "51 MB/s", "3 hours", "1m 20s"},
		{"实验室", "10.0.0.1", "940 MB", "-", "1 second", "350ms"},
		{"evil\x1b[2J", "fe80::1", "1,024", "", "9 days"},
	})
	require.Equal(t, ""+
		"node         addr           size     rate      seen    took\n"+
		"lab-desk3    192.168.1.5  1.4 GB  51 MB/s   3 hours  1m 20s\n"+
		"实验室       10.0.0.1     940 MB        -  1 second   350ms\n"+
		"evil\\x1b[2J  fe80::1       1,024             9 days\n", b.String())
}

func TestTableEdges(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	Table(&b, nil, nil)
	require.Empty(t, b.String())
	Table(&b, []string{"only", "a head"}, nil)
	require.Equal(t, "only  a head\n", b.String())
	b.Reset()
	Table(&b, nil, [][]string{{"a", "1"}, {"b", "22", "more than the first"}})
	require.Equal(t, "a   1\nb  22  more than the first\n", b.String())
	b.Reset()
	Table(&b, []string{"node id"}, [][]string{{"12345678abcdef01"}, {"1.2.3"}, {"-"}})
	require.Equal(t, "node id\n12345678abcdef01\n1.2.3\n-\n", b.String(), "ids and versions are not numbers")
}

func TestPrintError(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	plain := Streams{Err: &b, Color: true}
	PrintError(plain, errors.New("no machine here has org/model"), `try "hffs where org/model"`)
	require.Equal(t, "hffs: no machine here has org/model\nhint: try \"hffs where org/model\"\n", b.String())

	b.Reset()
	PrintError(plain, errors.Join(errors.New("peer a\x1b[2J: gone"), errors.New("hint: fake")), "")
	require.Equal(t, "hffs: peer a\\x1b[2J: gone\n      hint: fake\n", b.String())

	b.Reset()
	PrintError(Streams{Err: &b, ErrTTY: true, Color: true}, errors.New("x"), "y")
	require.Equal(t, "\x1b[1;31mhffs:\x1b[0m x\n\x1b[36mhint:\x1b[0m y\n", b.String())

	b.Reset()
	PrintError(Streams{Err: &b, ErrTTY: true}, errors.New("x"), "")
	require.Equal(t, "hffs: x\n", b.String())
}
