package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cli/control"
)

func TestRates(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{
		"": 0, "  ": 0, "0": 0, "0MB/s": 0, "0.0": 0, "0M": 0,
		"20MB/s": 20e6, "20 MB/s": 20e6, " 20MB": 20e6, "20MBps": 20e6, "1.5GB/s": 15e8, "2000B/s": 2000, "1kB/s": 1000, "1KB/s": 1000,
		"512KiB/s": 512 << 10, "2MiB/s": 2 << 20, "1GiB/sec": 1 << 30, "3 megabytes": -1, "3 Mbytes/s": 3e6, "8000 bytes/s": 8000,
		"80Mbit/s": 10e6, "80 mbit/s": 10e6, "1Gbit/s": 125e6, "8Mibit/s": 1 << 20, "64kbits/s": 8000, "8000bit/s": 1000, "1TB/s": 1e12,
	} {
		got, err := parseRate(s)
		if want < 0 {
			require.Error(t, err, "%q", s)
			continue
		}
		require.NoError(t, err, "%q", s)
		require.Equal(t, want, got, "%q", s)
	}
}

func TestRatesThatAreNone(t *testing.T) {
	t.Parallel()
	for s, why := range map[string]string{
		"20": "bytes or bits", "20M": "bytes or bits", "20k/s": "bytes or bits",
		"20Mb/s": "bits or bytes", "20mb/s": "bits or bytes", "20Mbps": "bits or bytes", "5b": "bits or bytes",
		"fast": "not a rate", "MB/s": "not a rate", "1.2.3MB/s": "not a rate", "-5MB/s": "not a rate", "20MB/h": "not a rate",
		"20 bananas": "not a rate", "1e3MB/s": "not a rate", "NaN": "not a rate", "Inf": "not a rate", "5XB/s": "not a rate",
		"999B/s": "less than", "0.001kB/s": "less than", "7999bit/s": "less than",
		"99999999TB/s": "more than",
	} {
		got, err := parseRate(s)
		require.ErrorContains(t, err, why, "%q", s)
		require.Zero(t, got)
	}
}

func TestLimitsInWords(t *testing.T) {
	t.Parallel()
	require.Empty(t, limitLine(control.Limits{}))
	require.Equal(t, "limits: 20 MB/s down, 1.0 MB/s from the Hub", limitLine(control.Limits{Down: 20e6, Hub: 1e6}))
}
