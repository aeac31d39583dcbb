package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/ui"
)

// limitFlags bound what a command moves.
func limitFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "limit-down", Usage: "fetch no faster than `RATE`, such as 20MB/s, 512KiB/s or 80Mbit/s"},
		&cli.StringFlag{Name: "limit-up", Usage: "send no faster than `RATE` to other nodes"},
		&cli.StringFlag{Name: "limit-hub", Usage: "fetch no faster than `RATE` from the Hub and its mirrors"},
	}
}

// limitsOf are the limits that a command's flags ask for.
func limitsOf(c *cli.Context) (l control.Limits, err error) {
	for _, f := range []struct {
		name string
		to   *int64
	}{{"limit-down", &l.Down}, {"limit-up", &l.Up}, {"limit-hub", &l.Hub}} {
		if *f.to, err = parseRate(c.String(f.name)); err != nil {
			return l, usage(fmt.Sprintf("--%s %q %v", f.name, c.String(f.name), err), rateHint)
		}
	}
	return l, nil
}

const rateHint = "a rate is written 20MB/s, 512KiB/s or 80Mbit/s; 0 is no limit"

// slowestRate is the least that may be asked for, in bytes per second. Below it
// nothing would ever arrive.
const slowestRate = 1000

// prefixes are what stands before a unit.
var prefixes = map[string]float64{
	"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12,
	"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40,
}

// units are bytes and bits; only of a single letter does it matter whether it is a
// capital.
var units = []struct {
	word  string
	bytes float64
}{{"bits", 1. / 8}, {"bit", 1. / 8}, {"bytes", 1}, {"byte", 1}, {"B", 1}}

// parseRate reads a rate in bytes per second; empty and 0 are no limit. Bytes are a
// B or written out, bits are always written out: what a small b means, people do not
// agree on.
func parseRate(s string) (int64, error) {
	number, unit := splitRate(s)
	if number == "" && unit == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errNoRate
	}
	size, err := unitSize(unit, n == 0)
	if err != nil {
		return 0, err
	}
	switch n *= size; {
	case n == 0:
		return 0, nil
	case n < slowestRate:
		return 0, errors.New("is less than a kilobyte per second")
	case n > math.MaxInt64/2:
		return 0, errors.New("is more than can be")
	}
	return int64(math.Round(n)), nil
}

// splitRate takes the number and the unit out of "20 MB/s".
func splitRate(s string) (number, unit string) {
	s = strings.TrimSpace(s)
	end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		return s, ""
	}
	return s[:end], strings.TrimSpace(s[end:])
}

// unitSize is what a unit is in bytes per second.
func unitSize(unit string, zero bool) (float64, error) {
	name := unit
	for _, per := range []string{"/s", "/sec", "/second", "ps"} {
		if cut, ok := strings.CutSuffix(unit, per); ok {
			name = strings.TrimSpace(cut)
		}
	}
	for _, u := range units {
		word := name
		if len(u.word) > 1 {
			word = strings.ToLower(name)
		}
		prefix, ok := strings.CutSuffix(word, u.word)
		if size, known := prefixes[strings.ToLower(strings.TrimSpace(prefix))]; ok && known {
			return size * u.bytes, nil
		}
	}
	_, bare := prefixes[strings.ToLower(name)]
	_, small := prefixes[strings.ToLower(strings.TrimSuffix(name, "b"))]
	switch {
	case bare && zero:
		return 1, nil
	case bare:
		return 0, errors.New("does not say whether it means bytes or bits")
	case small:
		return 0, errors.New("may mean bits or bytes: write MB for bytes, Mbit for bits")
	}
	return 0, errNoRate
}

var errNoRate = errors.New("is not a rate")

// limitLine is the limits in words, empty for none.
func limitLine(l control.Limits) string {
	var parts []string
	for _, p := range []struct {
		rate int64
		what string
	}{{l.Down, "down"}, {l.Up, "up"}, {l.Hub, "from the Hub"}} {
		if p.rate > 0 {
			parts = append(parts, ui.Rate(float64(p.rate))+" "+p.what)
		}
	}
	if parts == nil {
		return ""
	}
	return "limits: " + strings.Join(parts, ", ")
}
