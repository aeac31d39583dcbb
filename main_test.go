package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rooms says which rooms a room may import, itself and its children aside: the
// drawing of the house, kept true. A parent imports its children, a child never
// its parent; siblings meet only in leaves; the wiring sees all.
var rooms = map[string][]string{
	"cache/ref":             {},                               // names: everybody's leaf
	"cache/chunk":           {"cache/ref"},                    // pure
	"cache/disk":            {},                               // the systems' rough edges
	"cache":                 {},                               // the cache knows nobody
	"discovery":             {},                               // finds addresses, knows no names
	"gossip/manifest":       {"cache/ref"},                    // the message
	"gossip/directory":      {"cache/ref", "gossip/manifest"}, // the table
	"gossip":                {"cache/ref"},                    // carries manifests, fetches no blobs
	"transfer/source":       {"cache/ref", "cache/chunk"},     // what sources share
	"transfer/plan":         {"cache/chunk"},                  // no I/O at all
	"transfer/crossing":     {"cache/chunk"},                  // who draws what from the Hub: pure as well
	"transfer/swarmsim":     {"cache/chunk", "transfer/plan", "transfer/crossing"},
	"transfer/verify":       {"cache/ref", "cache/chunk"}, //
	"transfer/pace":         {},                           // rates: a leaf
	"transfer/peer":         {"cache/ref", "cache/chunk", "transfer/pace", "transfer/source", "transfer/verify"},
	"transfer/xorb":         {}, // a format: Xet's chunks in a row
	"transfer/xet":          {"cache/ref", "cache/chunk", "transfer/hub/caller", "transfer/pace", "transfer/source", "transfer/xorb"},
	"transfer/hub/standin":  {"*"}, // a Hub in small: tests and the demo
	"transfer/hub":          {"cache/ref", "cache/chunk", "transfer/pace", "transfer/source"},
	"transfer/hub/caller":   {},                                                                            // in whose name: a leaf
	"transfer/hub/endpoint": {"cache/ref", "transfer/hub/caller"},                                          // the Hub's protocol, for programs of this machine
	"transfer/catalog":      {"cache", "cache/ref", "transfer/hub/caller"},                                 // what repos are made of, and who may know
	"transfer":              {"cache", "cache/ref", "cache/chunk"},                                         // never gossip: the wiring joins them
	"cli/control":           {"cache/ref"},                                                                 // our own user's door
	"cli/doctor":            {},                                                                            // what is wrong, of a world that it is given
	"cli/ui":                {},                                                                            // what people look at
	"cli/service":           {},                                                                            // files for systems that start programs: pure
	"cli/node":              {"*"},                                                                         // the wiring
	"cli/lab":               {"*"},                                                                         // tests of the whole
	"cli":                   {"cache", "cache/ref", "cache/chunk", "transfer/hub", "transfer/hub/standin"}, // flags to calls; the demo has a Hub of its own
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").CombinedOutput()
	require.NoError(t, err, "%s", out)
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], "hffs/")
		for _, to := range words[1:] {
			if to, ours := strings.CutPrefix(to, "hffs/"); ours && from != "hffs" {
				seen++
				require.True(t, may(from, to), "%s must not import %s", from, to)
			}
		}
	}
	require.Greater(t, seen, 20, "the list of packages was read")
}

func may(from, to string) bool {
	if strings.HasPrefix(to, from+"/") {
		return true
	}
	room := from
	for room != "" && rooms[room] == nil {
		room = room[:max(0, strings.LastIndex(room, "/"))]
	}
	if strings.HasPrefix(to, room+"/") || to == room && room != from {
		return true // a part of the room that has no line of its own
	}
	for _, ok := range rooms[room] {
		if ok == "*" || ok == to {
			return true
		}
	}
	return false
}
