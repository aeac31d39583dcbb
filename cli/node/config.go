// Package node is the wiring: the one place that knows every room. It builds
// them, runs them together, joins them by loops of a few lines, and closes them
// in reverse.
//
// Read config.go for what can be chosen, node.go for the whole program of a
// running node (brief.go where it runs for one command), passerby.go for the
// short-lived one behind a command that finds no node (asking.go is how it sees the
// swarm, passersby.go how it is seen itself, linger.go when it goes), engine.go for
// what both do for their user, xet.go for what older versions of a file are good for,
// and joints.go for the loops between the rooms. peers.go tells who else there is,
// reach.go lets others find out whether they are reached, doctor.go is this machine as
// package doctor looks at it.
// slot.go, ports.go and identity.go find this node its place on a machine that may
// have several; life.go is how other processes find and end it, ours.go what it leaves on
// the disk, shelf.go what becomes of a cache that can only be read; explain.go turns
// errors into words.
package node

import (
	"log/slog"

	"hffs/cache"
	"hffs/transfer/hub"
	"hffs/transfer/pace"
)

// Ports that a node takes unless told otherwise. The door for peers' HTTP is
// the port above the gossip port.
const (
	DefaultPort    = 7766
	DefaultAPIPort = 7768
)

// Config is all that can be chosen. Its zero value is not quite enough: Place
// must say where the cache lives.
type Config struct {
	Place cache.Place
	// NoSymlinks keeps links out of the cache; see HF_HUB_DISABLE_SYMLINKS.
	NoSymlinks bool

	// Port is the gossip port; 0 means the first free one from DefaultPort on.
	Port int
	// APIPort is the local API's port; 0 means the first free one from
	// DefaultAPIPort on.
	APIPort int
	// Bind is the address to listen on and to be reached at; empty means all,
	// and the best one for others.
	Bind string
	// Peers are other nodes to join, HOST[:PORT], besides those that are found.
	Peers []string
	// Swarm is the name of the swarm; empty means "default".
	Swarm string
	// NoMDNS neither announces this node nor looks for others by multicast.
	NoMDNS bool
	// Loopback keeps everything on 127.0.0.1: for trying things out.
	Loopback bool
	// LimitUp bounds what is sent to peers, in bytes per second; 0 is no bound.
	LimitUp int64
	// LimitDown bounds what all downloads together receive, and LimitHub what they
	// receive from the Hub, its mirrors and what stands behind them; 0 is no bound.
	LimitDown, LimitHub int64
	// ShareGated tells peers also of gated and private repos, and serves them.
	ShareGated bool
	// Name is what people call this node; empty means the host's name.
	Name string

	// NoXet keeps to plain HTTP toward the Hub; see HF_HUB_DISABLE_XET.
	NoXet bool
	// Hub says where the Hub is and who asks it.
	Hub hub.Config

	Version string
	Log     *slog.Logger
	// LogFile is where Log and Say are written to, for others to find; may be empty.
	LogFile string
	// Say tells the user something worth a line; nil says nothing.
	Say func(string)

	added  []string    // peers added for good, as a passer-by has read them
	limits pace.Limits // made of LimitDown and LimitHub: one pair for all of the node
}

func (c Config) fill() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Say == nil {
		c.Say = func(string) {}
	}
	if c.Swarm == "" {
		c.Swarm = "default"
	}
	if c.Loopback && c.Bind == "" {
		c.Bind = "127.0.0.1"
	}
	c.limits = pace.New(pace.Rates{Down: c.LimitDown, Hub: c.LimitHub})
	c.Hub.Log, c.Hub.Notice, c.Hub.Limits = c.Log, c.Say, c.limits
	if c.Hub.UserAgent == "" {
		c.Hub.UserAgent = "hffs/" + c.Version
	}
	return c
}
