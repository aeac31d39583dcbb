package gossip

import (
	"fmt"
	"log/slog"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/gossip/manifest"
)

func TestMetaRoundTrip(t *testing.T) {
	t.Parallel()
	m := meta{
		door: 7767, life: 3, version: manifest.Version{Epoch: 1 << 51, Seq: 1 << 40}, check: manifest.Check{1, 2, 3},
		files: 20_000, bytes: 1 << 50, name: "lab-3", program: "0.1.0",
	}
	lengths := map[int]bool{}
	for range 200 {
		b := m.encode(maxPad)
		require.LessOrEqual(t, len(b), 100+maxPad)
		lengths[len(b)] = true
		got, err := decodeMeta(b)
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
	require.Greater(t, len(lengths), 20, "equally long messages get lost in memberlist's queue")
}

func TestMetaOfALaterProgram(t *testing.T) {
	t.Parallel()
	m := meta{door: 1, name: "x"}
	b := m.encode(0)
	b = append(b, "a later field"...)
	b[1] = byte(len(b) - 2)
	got, err := decodeMeta(append(b, make([]byte, 50)...))
	require.NoError(t, err)
	require.Equal(t, m, got)
	b[0] = 2
	_, err = decodeMeta(b)
	require.ErrorIs(t, err, errMeta)
}

func TestMetaOfLongNamesFits(t *testing.T) {
	t.Parallel()
	long := fmt.Sprintf("%0500d", 1)
	require.LessOrEqual(t, len(meta{door: 1, name: long, program: long}.encode(127)), maxMeta)
}

func TestNamesCanBePrinted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a-b-c", cleanName("a\nb c"))
	require.Equal(t, "-", cleanName("\x1b"))
	require.Len(t, cleanName(fmt.Sprintf("%0500d", 1)), maxName)
}

func FuzzMeta(f *testing.F) {
	f.Add(meta{door: 7767, name: "n", program: "p"}.encode(0))
	f.Add([]byte{1, 60})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		require.Equal(t, m.name, cleanName(m.name))
		again, err := decodeMeta(m.encode(10))
		require.NoError(t, err)
		m.program = m.program[:min(len(m.program), maxProgram)]
		require.Equal(t, m, again)
	})
}

// Many messages of one length, sent while others come in: none may be lost
// before its turns are used up, which is what befalls memberlist's own queue.
func TestQueueLosesNoEquallyLongMessage(t *testing.T) {
	t.Parallel()
	now := time.Now()
	q := &queue{mult: 4, nodes: func() int { return 9 }, now: func() time.Time { return now }}
	sent := map[string]int{}
	rnd := rand.New(rand.NewSource(3))
	for i := range 50 {
		q.put(fmt.Sprint("subject", i), fmt.Appendf(nil, "message %02d", i))
		for range rnd.Intn(3) {
			for _, m := range q.take(2, 60) {
				sent[string(m)]++
			}
		}
	}
	for len(q.waiting) > 0 {
		for _, m := range q.take(2, 60) {
			sent[string(m)]++
		}
	}
	require.Len(t, sent, 50)
	for m, n := range sent {
		require.Equal(t, 4, n, m)
	}
}

func TestQueueBounds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	q := &queue{mult: 8, nodes: func() int { return 2 }, now: func() time.Time { return now }}
	q.put("a", []byte("old"))
	q.put("a", []byte("new"))
	require.Equal(t, [][]byte{[]byte("new")}, q.take(2, 100), "the newest about a node counts")
	require.Empty(t, q.take(2, 4), "what does not fit waits")
	for i := range 2 * maxQueue {
		q.put(fmt.Sprint(i), []byte("x"))
	}
	require.Len(t, q.waiting, maxQueue)
	now = now.Add(maxQueueTime + 1)
	require.Empty(t, q.take(2, 1000), "old news are none")
	require.Empty(t, q.waiting)
}

func TestQuietLetsThroughOnceInAWhile(t *testing.T) {
	t.Parallel()
	var q quiet
	require.True(t, q.pass("a"))
	require.False(t, q.pass("a"))
	for i := range 10 * quietKeys {
		q.pass(fmt.Sprint(i))
	}
	require.LessOrEqual(t, len(q.last), quietKeys)

	log := &logCounter{}
	l := newLibraryLog(slog.New(log), &quiet{})
	for i := range 100 {
		l.Printf("[ERR] memberlist: Failed to decode ping request: %d from=%d", i, i)
	}
	require.Equal(t, int64(1), log.lines.Load())
}

func hold(p *publisher, n int) *manifest.Delta {
	p.hold(holding(n))
	d, _ := p.take(time.Now())
	return d
}

func TestPublisherAnswers(t *testing.T) {
	t.Parallel()
	var p publisher
	p.init(5)
	at := func(epoch, seq uint64) manifest.Answer { return p.since(manifest.Version{Epoch: epoch, Seq: seq}) }
	require.Empty(t, at(5, 0).Deltas)
	require.Nil(t, at(5, 0).Summary, "nothing is newer")
	for i := range 3 {
		require.NotNil(t, hold(&p, i+1))
		require.Nil(t, hold(&p, i+1), "the same again is no change")
	}
	require.Equal(t, manifest.Version{Epoch: 5, Seq: 3}, p.version())
	require.Len(t, at(5, 1).Deltas, 2)
	require.Len(t, at(5, 2).Deltas, 1)
	require.NotNil(t, at(5, 0).Summary, "who knows nothing gets the summary, not its history")
	require.Nil(t, at(5, 3).Summary)
	for _, v := range []manifest.Version{{}, {Epoch: 4, Seq: 2}, {Epoch: 5, Seq: 9}} {
		require.NotNil(t, p.since(v).Summary, v)
	}
}

func TestPublisherForgetsOldChanges(t *testing.T) {
	t.Parallel()
	var p publisher
	p.init(5)
	for i := range maxLog + 10 {
		hold(&p, 1+i%2)
	}
	require.LessOrEqual(t, len(p.log), maxLog)
	require.NotNil(t, p.since(manifest.Version{Epoch: 5, Seq: 3}).Summary)
	require.NotEmpty(t, p.since(manifest.Version{Epoch: 5, Seq: p.version().Seq - 3}).Deltas)
	for i := range 14 {
		p.hold(wide(1 + 3000*(i%2)))
		p.take(time.Now())
	}
	require.Less(t, len(p.log), 20)
	require.LessOrEqual(t, p.logSize, maxLogBytes)
	sum := 0
	for _, l := range p.log {
		sum += l.size
	}
	require.Equal(t, sum, p.logSize)
}

// rosterWith has one node that is at the publisher's version.
func rosterWith(t *testing.T, p *publisher) (*roster, *peer) {
	t.Helper()
	r := &roster{}
	r.init()
	peer := r.meet(p, "a")
	_, err := peer.applyLocked(p.since(manifest.Version{}))
	require.NoError(t, err)
	require.False(t, peer.behindLocked())
	return r, peer
}

func (r *roster) meet(p *publisher, boot string) *peer {
	m := &member{name: nodeID(1) + boot, id: nodeID(1), meta: meta{door: 1, version: p.ver, check: p.check}}
	peer, _ := r.aliveLocked(m, time.Now())
	return peer
}

func news(p *publisher, d *manifest.Delta) *manifest.News {
	return &manifest.News{Node: nodeID(1), Epoch: p.ver.Epoch, Delta: *d}
}

func TestNewsAreAppliedAndPassedOnOnce(t *testing.T) {
	t.Parallel()
	var p publisher
	p.init(5)
	hold(&p, 1)
	r, peer := rosterWith(t, &p)
	n := news(&p, hold(&p, 2))

	fresh, applied := r.hear(n)
	require.True(t, fresh)
	require.Same(t, peer, applied)
	require.Equal(t, p.ver, peer.have)
	fresh, _ = r.hear(n)
	require.False(t, fresh, "only what is new is passed on")
	r.meet(&p, "a")
	require.False(t, peer.behindLocked(), "the announcement that comes after its news needs no pull")
}

func TestNewsAfterAGapArePassedOnAndPulled(t *testing.T) {
	t.Parallel()
	var p publisher
	p.init(5)
	hold(&p, 1)
	r, peer := rosterWith(t, &p)
	before := peer.have
	lost := news(&p, hold(&p, 2))
	fresh, applied := r.hear(news(&p, hold(&p, 3)))
	require.True(t, fresh)
	require.Nil(t, applied)
	require.Equal(t, before, peer.have)
	require.True(t, peer.behindLocked())
	fresh, _ = r.hear(lost)
	require.False(t, fresh, "what comes late is not worth passing on")

	_, err := peer.applyLocked(p.since(peer.have))
	require.NoError(t, err)
	require.False(t, peer.behindLocked())
}

func TestNewsOfOthersAreNotBelieved(t *testing.T) {
	t.Parallel()
	var p publisher
	p.init(5)
	hold(&p, 1)
	r, peer := rosterWith(t, &p)
	n := news(&p, hold(&p, 2))
	n.Epoch++
	fresh, _ := r.hear(n)
	require.False(t, fresh, "another process of it")
	n = news(&p, &n.Delta)
	n.Delta.Check[0]++
	fresh, applied := r.hear(n)
	require.True(t, fresh)
	require.Nil(t, applied, "it does not lead where it says")
	require.True(t, peer.behindLocked())
	n.Node = nodeID(9)
	fresh, _ = r.hear(n)
	require.False(t, fresh, "nobody we know")
}

func TestNewsOvertakeAPull(t *testing.T) {
	t.Parallel()
	var p publisher
	p.init(5)
	hold(&p, 1)
	_, peer := rosterWith(t, &p)
	hold(&p, 2)
	early := p.since(manifest.Version{})
	d := hold(&p, 3)
	late := p.since(peer.have)
	_, err := peer.applyLocked(early)
	require.NoError(t, err)
	used, err := peer.applyLocked(late)
	require.NoError(t, err, "changes that are known are skipped")
	require.Len(t, used, 1)
	require.Equal(t, d.Check, peer.check)
	_, err = peer.applyLocked(early)
	require.NoError(t, err)
	require.Equal(t, p.ver, peer.have, "an old answer changes nothing")
}

func TestAnswersThatContradictTheAnnouncement(t *testing.T) {
	t.Parallel()
	var p, other publisher
	p.init(5)
	other.init(5)
	hold(&p, 1)
	r, peer := rosterWith(t, &p)
	good := peer.summary
	hold(&p, 2)
	r.meet(&p, "a")

	hold(&other, 7)
	hold(&other, 8)
	_, err := peer.applyLocked(other.since(manifest.Version{}))
	require.ErrorIs(t, err, manifest.ErrMalformed)
	_, err = peer.applyLocked(manifest.Answer{Version: peer.have})
	require.ErrorIs(t, err, errStale)
	_, err = peer.applyLocked(manifest.Answer{Version: manifest.Version{Epoch: 4, Seq: 99}, Summary: good})
	require.ErrorIs(t, err, errStale)
	_, err = peer.applyLocked(manifest.Answer{Version: p.ver})
	require.ErrorIs(t, err, manifest.ErrGap, "it says there is nothing to tell, and there is")
	require.Same(t, good, peer.summary, "what was known stays")
	require.True(t, peer.behindLocked())
}

func TestYoungestMemberSpeaksForItsNode(t *testing.T) {
	t.Parallel()
	r := &roster{}
	r.init()
	now := time.Now()
	meet := func(name string, epoch uint64, life uint8) *peer {
		p, _ := r.aliveLocked(&member{name: name, id: "id", meta: meta{life: life, version: manifest.Version{Epoch: epoch}}}, now)
		return p
	}
	p := meet("old", 1, 0)
	meet("new", 2, 0)
	meet("old", 1, 0)
	require.Equal(t, "new", p.current.name)
	meet("newer life", 2, 1)
	meet("new", 2, 0)
	require.Equal(t, "newer life", p.current.name)
	_, moved := r.goneLocked("old", now)
	require.False(t, moved)
	_, moved = r.goneLocked("newer life", now)
	require.True(t, moved)
	require.Equal(t, "new", p.current.name)
	r.goneLocked("new", now)
	require.Nil(t, p.current)
	r.purge(now.Add(keepGone))
	require.Len(t, r.peers, 1, "kept for when it comes back")
	r.purge(now.Add(keepGone + time.Second))
	require.Empty(t, r.peers)
}

func TestPullPauses(t *testing.T) {
	t.Parallel()
	require.Equal(t, 300*time.Millisecond, pullPause(1, errStale))
	require.Equal(t, pullLater, pullPause(9, errStale))
	require.Equal(t, pullLater, pullPause(1, manifest.ErrMalformed))
	require.Equal(t, pullOffence, pullPause(99, manifest.ErrMalformed))
}

func TestListCacheForgetsTheOldest(t *testing.T) {
	t.Parallel()
	var l lists
	l.init()
	first := manifest.NewList(testFiles(40))
	l.limit = 5 * first.Cost()
	l.add(first)
	l.add(first)
	require.Equal(t, first.Cost(), l.cost)
	for i := range 5 {
		require.NotNil(t, l.get(first.Digest), "what is used stays")
		l.add(manifest.NewList(testFiles(41 + i)))
	}
	for i := range 5 {
		l.add(manifest.NewList(testFiles(50 + i)))
	}
	require.LessOrEqual(t, l.cost, l.limit)
	require.Nil(t, l.get(first.Digest))
}
