package discovery

import (
	"context"
	"log/slog"
	"time"
)

// AskConfig says whom a passer-by looks for. Swarm is required.
type AskConfig struct {
	// Swarm is the id of the swarm to find, 16 hex digits.
	Swarm string
	// Want ends the asking as soon as that many members have answered; 0 means
	// to hear out the round.
	Want int
	// Service, Interfaces, Loopback and Log are those of [MDNSConfig].
	Service    string
	Interfaces []string
	Loopback   bool
	Log        *slog.Logger
}

// askRounds is for how long each question of a passer-by is open. Who has not
// answered within a second will not.
var askRounds = []time.Duration{fastWait, fastWait, 2 * fastWait}

// Ask finds nodes for somebody who only wants to ask them something: it
// announces nothing, joins nothing and leaves nothing behind. It returns after
// the first round that brought answers, or with none after the last.
func Ask(ctx context.Context, cfg AskConfig) []Peer {
	m := MDNSConfig{Service: cfg.Service, Log: cfg.Log}.withDefaults()
	a := &asker{service: m.Service, log: m.Log, scan: func() ([]link, error) {
		return links(cfg.Interfaces, cfg.Loopback)
	}}
	for _, wait := range askRounds {
		if peers := cfg.once(ctx, a, wait); len(peers) > 0 || ctx.Err() != nil {
			return peers
		}
	}
	return nil
}

func (cfg AskConfig) once(ctx context.Context, a *asker, wait time.Duration) []Peer {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	members := map[string]bool{}
	hs, here := a.round(ctx, everyWay, func(h heard) bool {
		if h.Swarm == cfg.Swarm {
			members[h.Member] = true
		}
		return cfg.Want > 0 && len(members) >= cfg.Want
	})
	var ours []heard
	for _, h := range hs {
		if h.Swarm == cfg.Swarm {
			ours = append(ours, h)
		}
	}
	return peersOf(ours, here)
}

func everyWay(link) (v4, v6 bool) { return true, true }
