package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// halfway waits until a host has received some of the big file.
func halfway(t *testing.T, h *Host, before, much int64) {
	t.Helper()
	Eventually(t, time.Minute, "the fetch is under way", func() bool { return h.Received()-before > much })
}

// amid starts a get of the big file on A, does something in the middle of it,
// and returns the finished get with what it said.
func amid(t *testing.T, l *Lab, size int64, act func()) (gotJSON, string) {
	t.Helper()
	a := l.Hosts[0]
	before := a.Received()
	p := a.Start(Binary(t), "get", bigRepo, bigFile, "--json")
	halfway(t, a, before, size/3)
	act()
	return finish(t, p), p.Err.String()
}

func TestHolderIsKilledHalfWay(t *testing.T) {
	const size = 60_000_000
	l, _ := twoHolders(t, Options{Rate: "100mbit"}, size)
	victim, other := l.Hosts[1], l.Hosts[2]
	g, said := amid(t, l, size, func() { victim.node(t).Kill() })
	require.Contains(t, said, victim.Hostname(), "who fell silent is named")
	require.NotContains(t, said, other.Hostname())
	require.Greater(t, g.from("peer"), int64(size/2), "%v", g.Sources)
}

func TestHolderStalls(t *testing.T) {
	const size = 60_000_000
	l, _ := twoHolders(t, Options{Rate: "100mbit"}, size)
	victim := l.Hosts[1]
	node := victim.node(t)
	g, said := amid(t, l, size, node.Pause)
	node.Resume()
	require.EqualValues(t, size, g.Size)
	require.Contains(t, said, victim.Hostname())
}

// node is the hffs that runs on a host.
func (h *Host) node(t *testing.T) *Process {
	t.Helper()
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	for _, p := range h.lab.procs {
		if p.host.Name == h.Name && strings.Fields(p.name)[2] == "up" && !p.Ended() {
			return p
		}
	}
	require.FailNow(t, "no node runs on "+h.Name)
	return nil
}

func TestHolderChangedItsFile(t *testing.T) {
	const size = 60_000_000
	l, _ := twoHolders(t, Options{Rate: "500mbit"}, size)
	b := l.Hosts[1]
	path := get(t, b, bigRepo, bigFile).Path
	flip(t, path, size/2)
	g := get(t, l.Hosts[0], bigRepo, bigFile)
	for _, s := range g.Sources {
		require.NotContains(t, s.Name, b.Hostname(), "what changed on disk is not served")
	}
	b.node(t).WaitFor("changed on disk", 10*time.Second)
}

func TestHolderChangesItsFileMeanwhile(t *testing.T) {
	const size = 60_000_000
	l, _ := twoHolders(t, Options{Rate: "100mbit"}, size)
	b := l.Hosts[1]
	path := get(t, b, bigRepo, bigFile).Path
	amid(t, l, size, func() { flip(t, path, size-1) })
	b.node(t).WaitFor("changed on disk", 10*time.Second)
	require.Contains(t, b.node(t).Err.String(), "blobs/"+filepath.Base(blobOf(t, path)), "the file is named")
}

// blobOf is what a link of a snapshot leads to.
func blobOf(t *testing.T, path string) string {
	t.Helper()
	blob, err := filepath.EvalSymlinks(path)
	require.NoError(t, err)
	return blob
}

// flip changes one byte of a file in place.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	require.NoError(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], at)
	require.NoError(t, err)
}

// A disk that rots changes bytes under a file system that knows nothing of it:
// no time stamp tells, so the holder sends wrong bytes in good faith.
func TestHolderHasABadDisk(t *testing.T) {
	const size = 60_000_000
	l := New(t, Options{Rate: "500mbit"})
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	disk := newDisk(t, b)
	l.NewHub(synthetic(bigRepo, bigFile, size)...)
	for _, h := range []*Host{b, c} {
		h.Up()
		get(t, h, bigRepo, bigFile)
	}
	path := get(t, b, bigRepo, bigFile).Path
	for at := int64(1 << 20); at < size; at += 5 << 20 { // so many that some are asked of B
		disk.rot(t, path, at)
	}
	require.NotEqual(t, etagOf(t, path, 64), get(t, c, bigRepo, bigFile).ETag, "the disk has rotted")
	_, said := getSaying(t, a, bigRepo, bigFile)
	require.Contains(t, said, b.Hostname(), "who sent wrong bytes is named")
}

// disk is a file system of a host's own, in a file that the test can reach.
type disk struct{ image, at string }

// newDisk puts a host's Hugging Face home on a disk of its own.
func newDisk(t *testing.T, h *Host) *disk {
	t.Helper()
	d := &disk{image: filepath.Join(h.Dir, "disk"), at: h.Home()}
	require.NoError(t, os.MkdirAll(d.at, 0o755))
	require.NoError(t, os.WriteFile(d.image, nil, 0o644))
	require.NoError(t, os.Truncate(d.image, 300<<20))
	run(t, "mkfs.ext4", "-q", "-F", d.image)
	run(t, "mount", "-o", "loop", d.image, d.at)
	t.Cleanup(func() { run(t, "umount", "--lazy", d.at) })
	return d
}

// rot flips a byte of a file below the file system, and makes the system
// forget what it remembers of the file.
func (d *disk) rot(t *testing.T, path string, at int64) {
	t.Helper()
	run(t, "sync", "-f", d.at)
	sign := readAt(t, path, at, 64)
	image, err := os.ReadFile(d.image)
	require.NoError(t, err)
	where := bytes.Index(image, sign)
	require.Positive(t, where, "the bytes lie in the image")
	flip(t, d.image, int64(where))
	Eventually(t, Limit, "the system has forgotten the file", func() bool {
		run(t, "dd", "if="+path, "iflag=nocache", "count=0", "status=none")
		return !bytes.Equal(sign, readAt(t, path, at, 64))
	})
}

func readAt(t *testing.T, path string, at, n int64) []byte {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, n)
	_, err = f.ReadAt(b, at)
	require.NoError(t, err)
	return b
}

// The rotten disk itself: bytes differ, and nothing else tells.
func TestRotIsSilent(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	h := l.Hosts[0]
	d := newDisk(t, h)
	path := filepath.Join(h.Home(), "file")
	whole := make([]byte, 5<<20)
	_, _ = noise(int64(len(whole))).Read(whole)
	require.NoError(t, os.WriteFile(path, whole, 0o644))
	before := run(t, "stat", "-c", "%s %y %z %i", path)
	d.rot(t, path, 3<<20)
	require.Equal(t, before, run(t, "stat", "-c", "%s %y %z %i", path))
	whole[3<<20] ^= 1
	rotten, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(whole, rotten), "that byte has changed, and no other")
}
