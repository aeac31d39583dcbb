package ui

import (
	"math"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

// Size says a number of bytes in decimal units, as the Hub does: "1.4 GB".
func Size(n int64) string { return humanize.Bytes(uint64(max(0, n))) }

// Rate says bytes per second: "94 MB/s".
func Rate(perSecond float64) string {
	if math.IsNaN(perSecond) || perSecond < 0 {
		perSecond = 0
	}
	return Size(int64(min(perSecond, math.MaxInt64/2))) + "/s"
}

// Duration says how long something takes, in two units at most: "1m 20s".
func Duration(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 9950*time.Millisecond:
		return strconv.FormatFloat(math.Round(d.Seconds()*10)/10, 'f', -1, 64) + "s"
	}
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return twoUnits(s, "s", 0, "")
	case s < 3600:
		return twoUnits(s/60, "m", s%60, "s")
	case s < 86400:
		return twoUnits(s/3600, "h", s%3600/60, "m")
	}
	return twoUnits(s/86400, "d", s%86400/3600, "h")
}

func twoUnits(a int64, unitA string, b int64, unitB string) string {
	s := strconv.FormatInt(a, 10) + unitA
	if b > 0 {
		s += " " + strconv.FormatInt(b, 10) + unitB
	}
	return s
}

// sizes says how much of total is there, with one unit for both so that the
// text keeps its width: "1.2/2.6 GB".
func sizes(done, total int64) string {
	all, unit := humanize.ComputeSI(float64(total))
	if unit == "" {
		return strconv.FormatInt(done, 10) + "/" + strconv.FormatInt(total, 10) + " B"
	}
	decimals := 0
	if all < 100 {
		decimals = 1
	}
	say := func(v float64) string { return strconv.FormatFloat(v, 'f', decimals, 64) }
	return say(float64(done)*all/float64(total)) + "/" + say(all) + " " + unit + "B"
}
