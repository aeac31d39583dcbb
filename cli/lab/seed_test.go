package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Eight machines want a file that one has, over lines as narrow as its own: it sends
// the file once, and they hand it on.
func TestOneSeedSendsItOnce(t *testing.T) {
	const size = 64 << 20
	r := newRush(t, 9, size)
	seed, crowd := r.lab.Hosts[0], r.lab.Hosts[1:]
	for _, h := range crowd {
		h.Env = map[string]string{"HF_HUB_OFFLINE": "1"}
	}
	r.up()
	get(t, seed, bigRepo, bigFile)
	for _, h := range crowd {
		Eventually(t, 15*time.Second, h.Name+" knows who has it", func() bool {
			return h.Hffs("where", bigRepo, bigFile).Code == 0
		})
	}
	for _, h := range r.lab.Hosts {
		h.Rate("100mbit")
	}
	_, took := r.all(crowd...)
	var s struct{ Shares struct{ Sent int64 } }
	seed.HffsJSON(&s, "status")
	copies := float64(s.Shares.Sent) / size
	t.Logf("%.2f s: %.2f of what the lines could do at best; the seed has sent %.3f copies", took.Seconds(), took.Seconds()/(size/(0.956*100e6/8)), copies)
	require.LessOrEqual(t, copies, 1.05)
}
