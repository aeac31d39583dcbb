package cli

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cache"
	"hffs/cli/control"
	"hffs/cli/environ"
	"hffs/cli/node"
	"hffs/cli/ui"
	"hffs/transfer/hub"
)

// running finds a running node for a command's work, unless the command's flags
// choose a swarm: a running node has chosen. A swarm that was set for good is not such a
// choice, for the node was started with it.
func (a *app) running(ctx context.Context, c *cli.Context, cfg node.Config) (*control.Place, *control.Client) {
	if a.given(c, "peer") || a.given(c, "swarm") || a.given(c, "no-mdns") || a.given(c, "loopback") {
		return nil, nil
	}
	for _, p := range a.lasting(cfg) {
		client := control.NewClient(p.Addr, p.Key)
		if a.agrees(cfg, p.Env) && client.Alive(ctx) {
			a.tellLeft(cfg, p)
			return &p, client
		}
	}
	return nil, nil
}

// tellLeft has the log know that the node does the work, so that what is done is told
// there: where that is, is known of a node in the background.
func (a *app) tellLeft(cfg node.Config, p control.Place) {
	if a.level() == 0 {
		return
	}
	attrs := []any{"pid", p.PID, "api", p.Addr}
	if p.Log != "" {
		attrs = append(attrs, "log", p.Log)
	}
	cfg.Log.Info("the running node does it", attrs...)
}

// lasting are the nodes on our cache that will be there for as long as we are:
// first the one under whose environment we were started, then those that stay.
func (a *app) lasting(cfg node.Config) (all []control.Place) {
	for _, p := range node.Places(cfg.Place.State) {
		switch {
		case p.Cache != cfg.Place.Hub:
		case a.within(p):
			all = slices.Insert(all, 0, p)
		case !p.Brief:
			all = append(all, p)
		}
	}
	return all
}

// within tells whether our environment leads to a node.
func (a *app) within(p control.Place) bool {
	if a.environ == nil {
		return false
	}
	endpoint, _ := environ.List(a.environ())("HF_ENDPOINT")
	return leadsTo(endpoint, p.Addr)
}

// agrees tells whether a node works with the environment that this command was
// given. What is not set here is left to the node.
func (a *app) agrees(cfg node.Config, theirs control.Env) bool {
	mine := node.EnvOf(cfg)
	chosen := a.getenv("HF_ENDPOINT") != "" || a.getenv(environ.Upstream) != ""
	switch {
	case chosen && !slices.Equal(mine.Endpoints, theirs.Endpoints):
		return false
	case mine.Offline && !theirs.Offline, mine.NoXet && !theirs.NoXet:
		return false
	}
	return mine.Token == "" || mine.Token == theirs.Token
}

// upstream are the endpoints that a node of ours asks. HF_ENDPOINT may lead to a
// running one of this machine, for the sake of other programs; it is not its own Hub.
func (a *app) upstream(place cache.Place) ([]string, error) {
	name := environ.Upstream
	if a.getenv(name) == "" {
		name = "HF_ENDPOINT"
	}
	list, err := hub.ParseEndpoints(a.getenv(name))
	if err != nil {
		return nil, usage(strings.ReplaceAll(err.Error(), "HF_ENDPOINT", name), name+" is an address such as https://huggingface.co, or several, comma-separated")
	}
	for _, p := range node.Places(place.State) {
		if others := without(list, p.Addr); len(others) < len(list) {
			if len(others) == 0 {
				others = p.Env.Endpoints
			}
			list = a.instead(name, p.Addr, others)
		}
	}
	return list, nil
}

// instead says that an address is not asked, and what is.
func (a *app) instead(name, addr string, others []string) []string {
	if len(others) == 0 {
		others, _ = hub.ParseEndpoints("") // the public one
	}
	a.say(fmt.Sprintf("%s leads to hffs itself at %s, which asks %s", name, addr, strings.Join(others, ", ")))
	return others
}

func without(list []string, addr string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return leadsTo(s, addr) })
}

// leadsTo tells whether an endpoint is a port of this machine, addr, in whatever way
// it names the machine.
func leadsTo(endpoint, addr string) bool {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	if err != nil || u.Scheme != "http" {
		return false
	}
	here, err := netip.ParseAddrPort(addr)
	if err != nil || u.Port() != fmt.Sprint(here.Port()) {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// newNode makes a node, and says where it cannot write.
func (a *app) newNode(cfg node.Config) (*node.Node, error) {
	n, err := a.makeNode(cfg)
	if err != nil {
		return nil, err
	}
	if line := n.Shelf(); line != "" {
		a.say(line)
	}
	return n, nil
}

// makeNode makes a node that does not ask itself: HF_ENDPOINT, set once and for all,
// may name the very port that the node has only now got.
func (a *app) makeNode(cfg node.Config) (*node.Node, error) {
	n, err := node.New(cfg)
	if err != nil {
		return nil, err
	}
	others := without(cfg.Hub.Endpoints, n.API())
	if len(others) == len(cfg.Hub.Endpoints) {
		return n, nil
	}
	cfg.Hub.Endpoints = a.instead("HF_ENDPOINT", n.API(), others)
	n.Close()
	return node.New(cfg)
}

// say tells the user something worth a line.
func (a *app) say(line string) { fmt.Fprintln(a.ui.Err, "hffs:", ui.Clean(line)) }
