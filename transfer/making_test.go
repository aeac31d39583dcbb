package transfer

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// colleague is a node that may be working out the same map; answers are given in their
// order, the last one again and again.
type colleague struct {
	*teller
	id      string
	answers []any // source.Making, chunk.Map or error
	asked   atomic.Int32
}

func (c *colleague) NodeID() string { return c.id }

func (c *colleague) Follow(context.Context, ref.Blob, func([]source.News)) error {
	return source.ErrGone
}

func (c *colleague) ContentMap(context.Context, ref.Blob) (chunk.Map, error) {
	n := int(c.asked.Add(1))
	switch a := c.answers[min(n, len(c.answers))-1].(type) {
	case chunk.Map:
		return a, nil
	case source.Making:
		return chunk.Map{}, a
	default:
		return chunk.Map{}, a.(error)
	}
}

// awaiting has a node wait for colleagues, of whom "before" comes before it and "behind"
// behind it, and says whether one of them has told it the map.
func awaiting(t *testing.T, before, behind []any) (told, begun bool) {
	t.Helper()
	w := xetWorld(t)
	tr := w.transfer()
	tr.cfg.Node = "2222222222222222"
	var all []source.Source
	for i, answers := range [][]any{before, behind} {
		if answers == nil {
			continue
		}
		c := &colleague{teller: w.peer("desk"), answers: answers}
		for n := 0; c.id == "" || (turn(w.entry, c.id) < turn(w.entry, tr.cfg.Node)) != (i == 0); n++ {
			c.id = string(rune('a' + n))
		}
		all = append(all, c)
	}
	mk, end := tr.makes(w.entry.Blob.ETag)
	defer end()
	m, told := tr.await(t.Context(), w.entry, mk, all, make(chan lie, liesMost))
	require.Equal(t, told, m.Len() > 0)
	said, ok := tr.Making(w.entry.Blob.ETag)
	require.True(t, ok)
	return told, said.Begun
}

func TestOneWorksTheMapOut(t *testing.T) {
	t.Parallel()
	w := xetWorld(t)
	m := contentMap(t, w.content)
	waits, works := source.Making{}, source.Making{Begun: true, Done: 1}
	for name, c := range map[string]struct {
		before, behind []any
		told           bool
	}{
		"nobody else does":                      {nil, nil, false},
		"one that goes before":                  {[]any{waits, works, m}, nil, true},
		"one behind that has begun":             {nil, []any{works, works, m}, true},
		"one behind that has not":               {nil, []any{waits, waits, m}, false},
		"one that has it by now":                {nil, []any{m}, true},
		"one that gives up":                     {[]any{works, source.ErrGone}, nil, false},
		"one that dies":                         {[]any{works, errors.New("connection refused")}, nil, false},
		"one that lies":                         {[]any{works, contentMap(t, w.content[1:])}, nil, false},
		"one that goes before and another":      {[]any{waits, waits, m}, []any{waits}, true},
		"one that stands still":                 {[]any{works}, nil, false},
		"one that crawls":                       {[]any{works, works, source.Making{Begun: true, Done: 1000}}, nil, false},
		"two that do not get beyond waiting":    {[]any{waits}, []any{works}, false},
		"one that gives up beside one that has": {[]any{works, source.ErrGone}, []any{works, works, works, m}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told, begun := awaiting(t, c.before, c.behind)
			require.Equal(t, c.told, told)
			require.Equal(t, !c.told, begun, "whoever does not wait tells others so")
		})
	}
}

func TestTurnsDifferFromBlobToBlob(t *testing.T) {
	t.Parallel()
	first := map[bool]bool{}
	for _, etag := range []ref.ETag{"a", "b", "c", "d", "e", "f", "g", "h"} {
		e := ref.Entry{Blob: ref.Blob{ETag: etag}}
		first[turn(e, "one") < turn(e, "two")] = true
	}
	require.Len(t, first, 2)
}

// TestWhoHasGreetedIsAsked: a node that began a moment later makes itself known while this
// one still looks around, and may go before it.
func TestWhoHasGreetedIsAsked(t *testing.T) {
	t.Parallel()
	w := xetWorld(t)
	tr := w.transfer()
	tr.cfg.Node = "2222222222222222"
	mk, end := tr.makes(w.entry.Blob.ETag)
	defer end()
	c := &colleague{teller: w.peer("desk"), id: "1", answers: []any{source.Making{Begun: true, Done: 1}, contentMap(t, w.content)}}
	tr.Meet(w.entry.Blob.ETag, c)
	_, told := tr.await(t.Context(), w.entry, mk, nil, make(chan lie, liesMost))
	require.True(t, told)
}
