package lab

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"
)

// fetching starts a client that downloads the big file when told to.
func (c client) fetching(t *testing.T, h *Host, file, told string) *Process {
	t.Helper()
	return h.Start(c.python, script(t, "fetch.py"), bigRepo, file, told)
}

// tell has all clients begin that have been started with this file.
func tell(t *testing.T, told string, procs ...*Process) {
	t.Helper()
	for _, p := range procs {
		p.WaitFor("ready", time.Minute)
	}
	require.NoError(t, os.WriteFile(told, nil, 0o644))
}

// fetched waits for a client and proves that it got what the Hub has.
func fetched(t *testing.T, p *Process, etag string) (path string) {
	t.Helper()
	require.Zero(t, p.Wait(Limit), p.report())
	lines := strings.Fields(p.Out.String())
	path = lines[len(lines)-1]
	require.Equal(t, etag, etagOf(t, path, 64))
	return path
}

// etagAtHub is what the Hub says a file's content is.
func etagAtHub(t *testing.T, h *Host, repo, file string) string {
	t.Helper()
	return where(t, h, repo, file).ETag
}

// crowdHub starts a Hub with a file for each of some stories.
func crowdHub(l *Lab, size int64, files ...string) *Hub {
	var args []string
	for i, f := range files {
		args = append(args, "--synthetic", fmt.Sprintf("%s/%s=%d@%d", bigRepo, f, size, i+1))
	}
	return l.NewHub(args...)
}

// Eight programs that want a file at the same time cause one fetch, whether each has a
// cache of its own or all have the node's.
func TestEightClientsAtOnce(t *testing.T) {
	const size, own, shared = 64_000_000, "own.safetensors", "shared.safetensors"
	l := New(t, Options{Hosts: 1, Rate: "200mbit"})
	hub := crowdHub(l, size, own, shared)
	a, all := l.Hosts[0], clients(t)
	a.Up("-vv")
	for _, file := range []string{own, shared} {
		t.Run(file, func(t *testing.T) {
			told := filepath.Join(t.TempDir(), "go")
			var procs []*Process
			for i := range 8 {
				home := fmt.Sprint("client-", i)
				if file == shared {
					home = ""
				}
				procs = append(procs, all[i%len(all)].fetching(t, a.asking(home), file, told))
			}
			tell(t, told, procs...)
			etag := etagAtHub(t, a, bigRepo, file)
			for _, p := range procs {
				fetched(t, p, etag)
			}
			sent := hub.Bytes(bigRepo, file)
			t.Logf("the Hub sent %.3f copies", float64(sent)/size)
			require.GreaterOrEqual(t, sent, int64(size))
			require.LessOrEqual(t, sent, int64(size*105/100))
		})
	}
	nothingWrong(t, a.Cache())
	oneCopy(t, a.Cache())
	unlocked(t, a.Cache())
}

// fetches is how many fetches a host's node has under way.
func fetches(t *testing.T, h *Host) int {
	t.Helper()
	var s struct{ Transfers []json.RawMessage }
	h.HffsJSON(&s, "status")
	return len(s.Transfers)
}

// unlocked proves that nobody holds a lock in a cache.
func unlocked(t *testing.T, cache string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(cache, ".locks"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		lock := flock.New(path)
		got, err := lock.TryLock()
		require.NoError(t, err)
		require.True(t, got, "%s is locked", path)
		return lock.Close()
	})
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
}

// A program that dies takes its fetch with it, in a while, and nobody is the worse for
// it: who comes next goes on from there.
func TestClientIsKilled(t *testing.T) {
	const size = 40_000_000
	l := New(t, Options{Hosts: 1})
	all := clients(t)
	hub := crowdHub(l, size, all[0].big, all[1].big)
	a := l.Hosts[0]
	a.Up("-vv")
	for i, home := range []string{"client", ""} { // one has a cache of its own, one the node's
		c := all[i]
		t.Run(c.version, func(t *testing.T) {
			told := filepath.Join(t.TempDir(), "go")
			user := a.asking(home)
			etag := etagAtHub(t, a, bigRepo, c.big)
			p := c.fetching(t, user, c.big, told)
			tell(t, told, p)
			a.Rate("20mbit") // all of it would take 16 s
			halfway(t, a, a.Received(), size/8)
			p.Kill()
			Eventually(t, 20*time.Second, "the node fetches nothing any more", func() bool { return fetches(t, a) == 0 })
			sent := hub.Bytes(bigRepo, c.big)
			require.Less(t, sent, int64(size*9/10), "the fetch has ended before it was done")
			unlocked(t, a.Cache())
			unlocked(t, user.Cache())
			a.Rate("")
			fetched(t, c.fetching(t, user, c.big, told), etag)
			again := hub.Bytes(bigRepo, c.big)
			t.Logf("the Hub sent %d bytes, and %d more", sent, again-sent)
			require.LessOrEqual(t, again, int64(size*110/100), "what was there was not fetched again")
			require.FileExists(t, filepath.Join(a.Cache(), "models--acme--big", "blobs", etag))
			unlocked(t, a.Cache())
		})
	}
}

// has waits until a program has so many bytes of a file that it fetches.
func has(t *testing.T, h *Host, much int64) {
	t.Helper()
	Eventually(t, time.Minute, "the program's fetch is under way", func() bool {
		var most int64
		_ = filepath.WalkDir(h.Cache(), func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".incomplete" {
				return nil // it comes and goes
			}
			if info, err := d.Info(); err == nil {
				most = max(most, info.Size())
			}
			return nil
		})
		return most >= much
	})
}

// A node that dies and comes back is no more to programs than a line that breaks: some
// try again by themselves, those of former times when they are started again, and both
// go on where they were.
func TestNodeIsKilledUnderItsClients(t *testing.T) {
	const size = 60_000_000
	l := New(t, Options{Hosts: 1, Rate: "60mbit"}) // too slow for the file to be in place in time
	all := clients(t)
	hub := crowdHub(l, size, bigFile)
	a := l.Hosts[0]
	node := a.Up("-vv")
	told := filepath.Join(t.TempDir(), "go")
	var procs []*Process
	for _, c := range all {
		procs = append(procs, c.fetching(t, a.asking(c.version), bigFile, told))
	}
	tell(t, told, procs...)
	etag := etagAtHub(t, a, bigRepo, bigFile)
	for _, c := range all {
		has(t, a.asking(c.version), 10_000_000) // they write 10 MB at a time
	}
	node.Kill()
	node = a.Up("-vv", "--api-port", "7768")
	for i, c := range all {
		if !c.newest {
			require.NotZero(t, procs[i].Wait(Limit), "it gives up: %s", procs[i].report())
			procs[i] = c.fetching(t, a.asking(c.version), bigFile, told)
		}
	}
	for _, p := range procs {
		fetched(t, p, etag)
	}
	sent := hub.Bytes(bigRepo, bigFile)
	t.Logf("the Hub sent %.3f copies, the node that came back %.3f to two clients", float64(sent)/size, float64(served(node, bigRepo))/size)
	require.LessOrEqual(t, sent, int64(size*115/100), "what was there was not fetched again")
	require.Positive(t, served(node, bigRepo))
	require.Less(t, served(node, bigRepo), int64(size*7/4), "the clients did not begin anew")
	nothingWrong(t, a.Cache())
}

// "hffs run" has the file in place before the program is told of it, however long that
// takes; so nobody writes it twice. Its exit code is the program's.
func TestRun(t *testing.T) {
	const size = 100_000_000
	l := New(t, Options{Hosts: 2})
	all := clients(t)
	hub := crowdHub(l, size, all[0].big, all[1].big)
	a, b := l.Hosts[0], l.Hosts[1]
	b.Up()
	downloads := "import sys, huggingface_hub as h; print(h.hf_hub_download(sys.argv[1], sys.argv[2])); sys.exit(7)"
	for _, c := range all {
		t.Run(c.version, func(t *testing.T) {
			etag := get(t, b, bigRepo, c.big).ETag
			sent := hub.AllBytes()
			inPlace := func(t *testing.T, h *Host) {
				t.Helper()
				r := h.Hffs("run", "--", c.python, "-c", downloads, bigRepo, c.big)
				require.Equal(t, 7, r.Code, "%s", r)
				path := strings.TrimSpace(r.Stdout)
				require.True(t, strings.HasPrefix(path, h.Cache()), "%s", r)
				require.Equal(t, etag, etagOf(t, path, 64))
				require.Equal(t, sent, hub.AllBytes(), "the Hub sends nothing that the neighbour has")
				oneCopy(t, h.Cache())
				nothingWrong(t, h.Cache())
			}
			t.Run("without a node", func(t *testing.T) { inPlace(t, a.As(c.version)) })
			t.Run("with a node", func(t *testing.T) {
				if c.newest {
					a.Rate("100mbit") // longer than any client waits by itself
					defer a.Rate("")
				}
				node := a.As(c.version + "-node")
				up := node.Up("-vv")
				defer up.Stop()
				meet(t, 5*time.Second, 1, node)
				announced(t, node, b, bigRepo, c.big)
				inPlace(t, node)
				require.Zero(t, served(up, bigRepo), "there was nothing left to ask for")
			})
		})
	}
}

// Parts far ahead of what has come are fetched before the rest. (The last few bytes of
// all are not: they wait for the file's hash.)
func TestRangeFarAhead(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	all := clients(t)
	l.NewHub("--xet", "--synthetic", fmt.Sprintf("%s/%s=%d@1", bigRepo, all[0].big, bigSize),
		"--synthetic", fmt.Sprintf("%s/%s=%d@2", bigRepo, all[1].big, bigSize))
	a := l.Hosts[0]
	part := "import sys, hashlib, huggingface_hub as h; repo, file, size = sys.argv[1:]; size = int(size); fs = h.HfFileSystem()\n" +
		"for at in (size * 3 // 4, size // 2): print(hashlib.sha256(fs.cat_file(repo + '/' + file, at, at + 1_000_000)).hexdigest())"
	sums := map[string][]string{}
	for _, c := range all {
		node := a.As(c.version)
		up := node.Up("-vv", "--limit-hub", "20MB/s") // all of it would take ten seconds
		before := a.Received()
		r := node.asking("client").Run(c.python, "-c", part, bigRepo, c.big, fmt.Sprint(bigSize))
		came := a.Received() - before
		require.Zero(t, r.Code, "%s", r)
		t.Logf("%s had its two megabytes after %d bytes had come", c.version, came)
		require.Less(t, came, int64(bigSize*3/4), "in the file's own order it would have been more")
		sums[c.big] = strings.Fields(r.Stdout)
		up.Stop()
	}
	for _, c := range all {
		path := get(t, a, bigRepo, c.big).Path
		require.Len(t, sums[c.big], 2)
		sameRange(t, path, bigSize*3/4, 1_000_000, sums[c.big][0])
		sameRange(t, path, bigSize/2, 1_000_000, sums[c.big][1])
	}
}
