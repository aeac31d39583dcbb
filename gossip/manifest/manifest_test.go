package manifest

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func commit(i int) ref.Commit { return ref.Commit(fmt.Sprintf("%040x", i)) }
func repo(i int) ref.Repo {
	return ref.Repo{Type: typeCodes[i%len(typeCodes)], ID: fmt.Sprintf("org-%d/name_%d.x", i%7, i)}
}

func blob(i int) ref.Blob {
	if i%3 == 0 {
		return ref.Blob{ETag: ref.ETag(fmt.Sprintf("%040x", i)), Size: int64(i)}
	}
	b := ref.Blob{ETag: ref.ETag(fmt.Sprintf("%064x", i)), Size: ref.MaxBlobSize - int64(i)}
	if i%3 == 1 {
		b.Xet = ref.XetHash(fmt.Sprintf("%064x", i+1))
	}
	return b
}

func files(n int) []File {
	out := make([]File, n)
	for i := range out {
		out[i] = File{Path: fmt.Sprintf("sub dir/ünï-%05d", i), Blob: blob(i)}
	}
	return out
}

// sample is a cache of n snapshots of a few files each.
func sample(n int) Holdings {
	var h Holdings
	for i := range n {
		h.Snapshots = append(h.Snapshots, Snapshot{repo(i / 2), commit(i), files(1 + i%5)})
		h.Refs = append(h.Refs, Ref{repo(i / 2), fmt.Sprintf("refs/pr/%d", i), commit(i), now.Add(-time.Duration(i) * time.Hour)})
	}
	for i := range min(n, MaxPartials) {
		h.Partials = append(h.Partials, ref.Entry{Repo: repo(i), Commit: commit(i), Path: "a/b", Blob: blob(i)})
	}
	return h
}

func TestListRoundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 1000} {
		l := NewList(files(n))
		got, err := DecodeList(l.Wire())
		require.NoError(t, err)
		require.Equal(t, l.Digest, got.Digest)
		require.Equal(t, l.Files(), got.Files())
		require.Equal(t, l.Bytes(), got.Bytes())
	}
}

func TestListIsNamedByItsContent(t *testing.T) {
	t.Parallel()
	a := files(50)
	b := slices.Clone(a)
	slices.Reverse(b)
	require.Equal(t, NewList(a).Digest, NewList(append(b, a[3])).Digest, "neither order nor a repetition counts")
	b[7].Blob.Size++
	require.NotEqual(t, NewList(a).Digest, NewList(b).Digest)

	d, err := ParseDigest(NewList(a).Digest.String())
	require.NoError(t, err)
	require.Equal(t, NewList(a).Digest, d)
	for _, bad := range []string{"", "xyz", strings.Repeat("0", 31), strings.Repeat("0", 34)} {
		_, err := ParseDigest(bad)
		require.ErrorIs(t, err, ErrMalformed)
	}
}

func TestListLookUps(t *testing.T) {
	t.Parallel()
	l := NewList(files(100))
	for _, f := range l.Files() {
		got, ok := l.Find(f.Path)
		require.True(t, ok)
		require.Equal(t, f, got)
		require.True(t, l.Holds(f.Blob.ETag, f.Blob.Size))
		require.False(t, l.Holds(f.Blob.ETag, f.Blob.Size+1))
	}
	_, ok := l.Find("sub dir")
	require.False(t, ok)
	require.False(t, l.Holds(ref.ETag(strings.Repeat("f", 40)), 1))
}

func TestListOfMoreThanAnybodyTakesIsCut(t *testing.T) {
	t.Parallel()
	const limit = 3000
	require.Greater(t, len(NewList(files(1000)).Wire()), limit)
	l := fit(files(1000), limit)
	require.LessOrEqual(t, len(l.Wire()), limit)
	require.Greater(t, l.Len(), 100)
	got, err := DecodeList(l.Wire())
	require.NoError(t, err)
	require.Equal(t, l.Files(), got.Files())
}

func TestSummaryRoundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3, 500} {
		s := Build(sample(n), nil).Summary
		v := Version{Epoch: 1 << 50, Seq: 77}
		later := now.Add(time.Hour)
		a, err := DecodeAnswer(Answer{Version: v, Summary: s}.Encode(now), later)
		require.NoError(t, err)
		require.Equal(t, v, a.Version)
		require.Equal(t, s.Check(), a.Summary.Check())
		require.Equal(t, len(s.Held), len(a.Summary.Held))
		for i, r := range a.Summary.Refs {
			require.Equal(t, s.Refs[i].Learnt.Add(time.Hour), r.Learnt, "ages travel, clocks do not")
		}
		f1, b1 := s.Total()
		f2, b2 := a.Summary.Total()
		require.Equal(t, f1, f2)
		require.Equal(t, b1, b2)
	}
}

func TestSummaryFinds(t *testing.T) {
	t.Parallel()
	s := Build(sample(40), nil).Summary
	require.Len(t, s.Of(repo(3)), 2)
	require.Empty(t, s.Of(ref.Repo{Type: ref.Model, ID: "no/body"}))
	r, ok := s.Ref(repo(3), "refs/pr/7")
	require.True(t, ok)
	require.Equal(t, commit(7), r.Commit)
	_, ok = s.Ref(repo(3), "refs/pr/8")
	require.False(t, ok)
}

func TestBuildLeavesOutWhatNobodyTakes(t *testing.T) {
	t.Parallel()
	good := files(3)
	bad := []File{
		{Path: "../up", Blob: blob(1)}, {Path: "/abs", Blob: blob(1)}, {Path: "ok", Blob: ref.Blob{ETag: "zz", Size: 1}},
		{Path: "ok2", Blob: ref.Blob{ETag: blob(1).ETag, Size: -1}}, {Path: "ok3", Blob: ref.Blob{ETag: blob(1).ETag, Size: 1, Xet: "no"}},
		{Path: "ok4", Blob: ref.Blob{ETag: ref.ETag(strings.Repeat("F", 40)), Size: 1}},
	}
	b := Build(Holdings{
		Snapshots: []Snapshot{
			{repo(1), commit(1), append(slices.Clone(good), bad...)},
			{repo(1), commit(1), good},                               // twice
			{ref.Repo{Type: "x", ID: "a/b"}, commit(1), good},        // no such type
			{ref.Repo{Type: ref.Model, ID: "../b"}, commit(1), good}, // no such name
			{repo(2), "main", good},                                  // no commit
			{repo(3), commit(1), nil},                                // nothing there
		},
		Refs:     []Ref{{repo(1), "a..b", commit(1), now}, {repo(1), "main", "x", now}, {repo(1), "main", commit(1), now}},
		Partials: slices.Repeat([]ref.Entry{{Repo: repo(1), Commit: commit(1), Path: "p", Blob: blob(1)}}, MaxPartials+1),
	}, nil)
	require.Len(t, b.Summary.Held, 1)
	require.Equal(t, 3, b.Summary.Held[0].Files)
	require.Len(t, b.Summary.Refs, 1)
	require.Len(t, b.Summary.Partials, MaxPartials)
	require.Equal(t, len(bad)+4*len(good)+2, b.Skipped)
	_, err := DecodeAnswer(Answer{Summary: b.Summary}.Encode(now), now)
	require.NoError(t, err)
}

func TestBuildTakesOverWhatDidNotChange(t *testing.T) {
	t.Parallel()
	h := sample(10)
	a := Build(h, nil)
	h.Snapshots = slices.Clone(h.Snapshots)
	h.Snapshots[4].Files = files(30)
	b := Build(h, a)
	for d, list := range a.Lists {
		if b.Lists[d] != nil {
			require.Same(t, list, b.Lists[d])
		}
	}
	require.Len(t, Diff(a, b, 0).Changed, 1)
}

func TestLearningTheSameAgainIsNewsOnlyAfterAWhile(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) Holdings {
		return Holdings{Refs: []Ref{{repo(1), "main", commit(1), now.Add(d)}}}
	}
	b := Build(at(0), nil)
	for d := time.Second; d < relearnt; d += 10 * time.Second {
		b2 := Build(at(d), b)
		require.Nil(t, Diff(b, b2, 5))
		b = b2
	}
	d := Diff(b, Build(at(relearnt), b), 5)
	require.NotNil(t, d, "many small steps add up")
	require.Equal(t, now.Add(relearnt), d.Refs[0].Learnt)
}

func TestDiffOfTheSameIsNothing(t *testing.T) {
	t.Parallel()
	a := Build(sample(20), nil)
	require.Nil(t, Diff(a, Build(sample(20), a), 3))
}

// A random walk: whatever changes, replaying the differences gives the same.
func TestDeltasLeadWhereTheOwnerIs(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewSource(7))
	own := Build(Holdings{}, nil)
	theirs, lists := &Summary{}, map[Digest]*List{}
	for seq := range uint64(200) {
		next := Build(randomHoldings(rnd), own)
		d := Diff(own, next, seq)
		own = next
		if d == nil {
			continue
		}
		a, err := DecodeAnswer(Answer{Version: Version{1, d.To}, Deltas: []Delta{*d}}.Encode(now), now)
		require.NoError(t, err)
		got := &a.Deltas[0]
		theirs, err = got.Apply(theirs)
		require.NoError(t, err)
		require.Equal(t, own.Summary.Check(), theirs.Check())
		for i := range got.Changed {
			c := &got.Changed[i]
			list := c.Patch(lists[c.Was])
			require.NotNil(t, list)
			lists[list.Digest] = list
		}
		for _, held := range theirs.Held {
			require.Equal(t, own.Lists[held.List].Files(), lists[held.List].Files())
		}
	}
}

func randomHoldings(rnd *rand.Rand) (h Holdings) {
	for i := range 6 {
		if rnd.Intn(3) == 0 {
			continue
		}
		fs := slices.DeleteFunc(files(12), func(File) bool { return rnd.Intn(3) == 0 })
		for j := range fs {
			if rnd.Intn(4) == 0 {
				fs[j].Blob = blob(rnd.Intn(50))
			}
		}
		h.Snapshots = append(h.Snapshots, Snapshot{repo(i), commit(i), fs})
		h.Refs = append(h.Refs, Ref{repo(i), "main", commit(rnd.Intn(4)), now})
		if rnd.Intn(2) == 0 {
			h.Partials = append(h.Partials, ref.Entry{Repo: repo(i), Commit: commit(i), Path: "p", Blob: blob(i)})
		}
	}
	return h
}

func TestDeltaOnTheWrongSummary(t *testing.T) {
	t.Parallel()
	a, b, c := Build(sample(4), nil), Build(sample(6), nil), Build(sample(9), nil)
	_, err := Diff(b, c, 1).Apply(a.Summary)
	require.ErrorIs(t, err, ErrGap)
	_, err = Diff(a, b, 0).Apply(a.Summary)
	require.NoError(t, err)
}

func TestPatchOnlyMakesTheListThatWasMeant(t *testing.T) {
	t.Parallel()
	at := func(n int) *Built {
		return Build(Holdings{Snapshots: []Snapshot{{repo(1), commit(1), files(n)}}}, nil)
	}
	c := Diff(at(5), at(6), 0).Changed[0]
	require.True(t, c.Patched)
	require.Len(t, c.Added, 1)
	require.NotNil(t, c.Patch(NewList(files(5))))
	require.Nil(t, c.Patch(NewList(files(4))))
	require.Nil(t, c.Patch(nil))
	require.False(t, Diff(at(patchLimit), at(patchLimit+1), 0).Changed[0].Patched)
}

func TestNewsRoundTrip(t *testing.T) {
	t.Parallel()
	one := Build(Holdings{Snapshots: []Snapshot{{repo(1), commit(1), files(3)}}}, nil)
	two := Build(Holdings{Snapshots: []Snapshot{{repo(1), commit(1), files(4)}}}, one)
	n := News{Node: "00000000000000ab", Epoch: 9, Delta: *Diff(one, two, 4)}
	b := n.Encode(now)
	require.NotEmpty(t, b)
	require.LessOrEqual(t, len(b), 300, "one file must leave room in the packet")
	got, err := DecodeNews(b, now)
	require.NoError(t, err)
	require.Equal(t, n.Node, got.Node)
	require.Equal(t, Version{9, 5}, got.Version())
	require.Equal(t, n.Delta.Changed, got.Delta.Changed)

	big := News{Node: n.Node, Delta: *Diff(one, Build(sample(300), nil), 4)}
	require.Nil(t, big.Encode(now), "too long for a packet")
	require.Nil(t, (&News{Node: "x", Delta: n.Delta}).Encode(now))
}

func TestVersions(t *testing.T) {
	t.Parallel()
	require.True(t, Version{1, 5}.After(Version{1, 4}))
	require.False(t, Version{1, 5}.After(Version{1, 5}))
	require.False(t, Version{2, 5}.After(Version{1, 4}), "other processes have other counts")
}

func TestFutureTimesHaveNoNegativeAge(t *testing.T) {
	t.Parallel()
	s := Build(Holdings{Refs: []Ref{{repo(1), "main", commit(1), now.Add(time.Hour)}, {repo(2), "main", commit(1), time.Time{}}}}, nil).Summary
	a, err := DecodeAnswer(Answer{Summary: s}.Encode(now), now)
	require.NoError(t, err)
	require.Contains(t, []time.Time{a.Summary.Refs[0].Learnt, a.Summary.Refs[1].Learnt}, now)
}

// Foreign bytes: every cut and every flipped byte is refused or still makes sense.
func TestMalformed(t *testing.T) {
	t.Parallel()
	good := Answer{Version: Version{1, 2}, Summary: Build(sample(5), nil).Summary}.Encode(now)
	list := NewList(files(9)).Wire()
	for i := range good {
		_, err := DecodeAnswer(good[:i], now)
		require.ErrorIs(t, err, ErrMalformed)
	}
	for i := range list {
		_, err := DecodeList(list[:i])
		require.ErrorIs(t, err, ErrMalformed)
	}
	for name, b := range map[string][]byte{
		"nothing":        {},
		"other format":   append([]byte{9}, good[1:]...),
		"other kind":     list,
		"not a frame":    append([]byte{format, kindSummary}, "garbage"...),
		"bomb":           pack(kindSummary, make([]byte, maxPlain+1)),
		"zeros":          pack(kindSummary, make([]byte, 1<<20)),
		"absurd count":   pack(kindSummary, []byte{1, 2, 0xff, 0xff, 0xff, 0x7f}),
		"trailing":       pack(kindCurrent, []byte{1, 2, 3}),
		"no deltas":      pack(kindDeltas, []byte{1, 2, 0}),
		"endless deltas": pack(kindDeltas, append([]byte{1, 2}, slices.Repeat([]byte{0xff}, 100)...)),
	} {
		_, err := DecodeAnswer(b, now)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
}

func TestListsOutOfOrderOrWithBadNamesAreRefused(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string][]File{
		"order":    {{Path: "b", Blob: blob(1)}, {Path: "a", Blob: blob(2)}},
		"twice":    {{Path: "a", Blob: blob(1)}, {Path: "a", Blob: blob(1)}},
		"up":       {{Path: "../a", Blob: blob(1)}},
		"absolute": {{Path: "/a", Blob: blob(1)}},
		"control":  {{Path: "a\nb", Blob: blob(1)}},
		"size":     {{Path: "a", Blob: ref.Blob{ETag: blob(1).ETag, Size: ref.MaxBlobSize + 1}}},
	} {
		_, err := DecodeList(pack(kindList, encodeFiles(fs)))
		require.ErrorIs(t, err, ErrMalformed, name)
	}
}

func TestNewsBombIsRefused(t *testing.T) {
	t.Parallel()
	_, err := DecodeNews(pack(kindNews, make([]byte, maxNewsPlain+1)), now)
	require.ErrorIs(t, err, ErrMalformed)
	_, err = DecodeNews(make([]byte, MaxNews+1), now)
	require.ErrorIs(t, err, ErrMalformed)
}

func TestTwentyThousandFilesFit(t *testing.T) {
	t.Parallel()
	h := Holdings{}
	for i := range 1000 {
		h.Snapshots = append(h.Snapshots, Snapshot{repo(i), commit(i * 7919), files(20)})
	}
	b := Build(h, nil)
	n, _ := b.Summary.Total()
	require.Equal(t, 20_000, n)
	require.Less(t, len(Answer{Summary: b.Summary}.Encode(now)), 60_000)
}

// The fuzz targets feed the formats behind the compression: bytes that are no
// zstd frame end early and are the library's business.

func FuzzAnswer(f *testing.F) {
	a, b := Build(sample(4), nil), Build(sample(6), nil)
	for _, answer := range []Answer{
		{Version: Version{1, 2}, Summary: a.Summary},
		{Version: Version{1, 2}, Deltas: []Delta{*Diff(a, b, 1)}},
		{Version: Version{1, 2}},
	} {
		kind, plain := answer.plain(now)
		f.Add(plain, kind)
	}
	f.Fuzz(func(t *testing.T, plain []byte, kind byte) {
		v, err := decodeAnswer(kind, plain, now)
		if err != nil {
			return
		}
		again, err := reread(v)
		require.NoError(t, err)
		require.Equal(t, v.Version, again.Version)
		if v.Summary != nil {
			require.Equal(t, v.Summary.Check(), again.Summary.Check())
		}
		for i := range v.Deltas {
			_, _ = v.Deltas[i].Apply(a.Summary)
		}
	})
}

func reread(a Answer) (Answer, error) {
	kind, plain := a.plain(now)
	return decodeAnswer(kind, plain, now)
}

func FuzzList(f *testing.F) {
	f.Add(encodeFiles(files(5)))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, plain []byte) {
		got, err := decodeFiles(plain)
		if err != nil {
			return
		}
		l := NewList(got)
		again, err := decodeFiles(encodeFiles(got))
		require.NoError(t, err)
		require.Equal(t, l.Files(), again)
		for _, file := range l.Files() {
			require.True(t, goodFile(file))
			require.True(t, l.Holds(file.Blob.ETag, file.Blob.Size))
		}
	})
}

func FuzzNews(f *testing.F) {
	a, b := Build(sample(1), nil), Build(sample(2), nil)
	f.Add((&News{Node: "00000000000000ab", Epoch: 3, Delta: *Diff(a, b, 1)}).plain(now))
	f.Fuzz(func(t *testing.T, plain []byte) {
		n, err := decodeNews(plain, now)
		if err != nil {
			return
		}
		_, _ = n.Delta.Apply(a.Summary)
		for i := range n.Delta.Changed {
			_ = n.Delta.Changed[i].Patch(NewList(files(3)))
		}
		again, err := decodeNews(n.plain(now), now)
		require.NoError(t, err)
		require.Equal(t, n.Version(), again.Version())
	})
}

func BenchmarkBuild20000(b *testing.B) {
	h := Holdings{}
	for i := range 1000 {
		h.Snapshots = append(h.Snapshots, Snapshot{repo(i), commit(i * 7919), files(20)})
	}
	built := Build(h, nil)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			Build(h, nil)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			Build(h, built)
		}
	})
	wire := Answer{Summary: built.Summary}.Encode(now)
	b.Run("decode", func(b *testing.B) {
		b.ReportMetric(float64(len(wire)), "wire-bytes")
		for b.Loop() {
			_, _ = DecodeAnswer(wire, now)
		}
	})
}
