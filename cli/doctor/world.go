package doctor

import (
	"context"
	"errors"
	"time"
)

// World is what the checks look at. What several of them ask for is found out once by
// whoever makes it.
type World struct {
	System string // runtime.GOOS
	Getenv func(string) string
	// Environ reads the environment as it is, where Getenv reads the user's own.
	Environ func(string) string
	Now     func() time.Time

	// Node is the node that runs here; ok is false when none does.
	Node func(context.Context) (n Node, ok bool)
	// Leads tells whether an endpoint is a local API port of hffs, and whether anybody
	// answers there.
	Leads func(ctx context.Context, endpoint string) (ours, answers bool)

	Interfaces func() ([]Interface, error)
	// NoMulticast says that nobody is asked by it, as the user wants it.
	NoMulticast bool
	// Echoes are questions that were asked by multicast.
	Echoes func(context.Context) []Echo
	// Foreign says in which kind of a box the system runs that keeps it from the LAN:
	// "WSL2", "a container", or nothing.
	Foreign func() string

	// Peers are the other nodes that can be found, however.
	Peers func(context.Context) []Peer
	// Ports are those of the node that runs, else those that one would take.
	Ports func(context.Context) Ports
	// Reach has a peer dial back to a port of this machine, over "tcp" or "udp".
	Reach func(ctx context.Context, p Peer, network string, port int) error
	// Firewalls are those that seem to be switched on here.
	Firewalls func(context.Context) []Firewall

	// Hosts are the names that must be looked up, with what they are for.
	Hosts  []Host
	Lookup func(ctx context.Context, host string) error

	Offline bool // by the user's wish
	// Endpoints are the Hub and its mirrors.
	Endpoints func(context.Context) []Endpoint
	// Whoami is whose the user's token is.
	Whoami func(context.Context) (name string, err error)

	// Settings is where the settings file is, and what is wrong with it.
	Settings func() (path string, err error)

	Folders []Folder
	// Free is how many bytes may still be written on the disk of a folder.
	Free func(dir string) (int64, error)
	// Read tries whether a folder can be looked into.
	Read func(dir string) error
	// Write tries whether files can be made in a folder, or made at all where it will be.
	Write func(dir string) error
}

// Node is the node that runs here.
type Node struct {
	Name, Version, Swarm, API, Gossip, Door string
	Peers                                   int
	OtherVersion                            bool // than this command
}

// Interface is a network interface.
type Interface struct {
	Name, Subnets string
	Unfit         string // why nobody is looked for there; empty when it is used
	Up            bool
	Loopback      bool
	SelfMade      bool // its only addresses are those that the system gives itself
}

// Echo is what became of a question by multicast on one interface.
type Echo struct {
	Interface string
	Listening error // why port 5353 cannot be listened on
	Busy      bool  // since another program has it alone
	Sending   error
	Denied    bool // since this machine's firewall forbids it
	Heard     bool
	Answers   int // from other nodes
	Strangers int // nodes of other swarms that answered
}

// Peer is another node.
type Peer struct {
	Name, Addr, Door string
	Alive, Member    bool
	Added            bool
	Version          string
	Ahead            *time.Duration // its clock of ours
	Problem          string
}

// Ports of a node.
type Ports struct {
	Gossip, Door int
	Running      bool             // a node has them
	Taken        map[string]error // by the words of what could not be opened
}

// What a peer says of the way back.
var (
	ErrRefused = errors.New("it is refused")
	ErrSilent  = errors.New("nothing comes back")
	ErrUnable  = errors.New("it cannot say")
)

// Firewall is one that is switched on.
type Firewall struct {
	Name  string
	Allow []string // commands that let hffs through
	Sure  bool     // it is known to be on, not only to be there
}

// Host is a name that must be looked up.
type Host struct{ Name, For string }

// Endpoint is how the Hub, or a mirror of it, answers.
type Endpoint struct {
	Name  string
	Hub   bool
	Took  time.Duration
	Ahead *time.Duration // its clock of ours
	Err   error
}

// Why a token is not known to be good.
var (
	ErrNoToken  = errors.New("there is no token")
	ErrBadToken = errors.New("the token is not accepted")
	ErrUnsafe   = errors.New("the token is not shown to this Hub")
)

// Folder is one that hffs writes to.
type Folder struct {
	Path, For string
	Variable  string // chooses another one
	Models    bool   // large files go there
}
