package catalog

import (
	"context"
	"encoding/json"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
	"hffs/transfer/hub/standin"
)

func TestTheHubSaysWhatABranchIs(t *testing.T) {
	t.Parallel()
	h, asked, commit, stop := realHub(t)
	b := newBench(t, asked, nil)
	var learnt []string
	b.cfg.Learnt = func(repo ref.Repo, revision string, commit ref.Commit) { learnt = append(learnt, revision) }
	now := time.Now()
	b.cfg.Now = func() time.Time { return now }
	b.revisions.Now = b.cfg.Now

	got, err := b.Commit(t.Context(), demo, "main")
	require.NoError(t, err)
	require.Equal(t, Answer{Commit: commit, Learnt: now, From: "the Hub"}, got)
	require.Equal(t, []string{"main"}, learnt)

	second := h.Add(demo, "", map[string]standin.Content{"config.json": standin.String("new")})
	got, err = b.Commit(t.Context(), demo, "main")
	require.NoError(t, err)
	require.Equal(t, commit, got.Commit, "the answer serves for a moment")
	now = now.Add(freshFor)
	got, err = b.Commit(t.Context(), demo, "main")
	require.NoError(t, err)
	require.Equal(t, second, got.Commit)

	got, err = b.Commit(t.Context(), demo, string(commit))
	require.NoError(t, err)
	require.Equal(t, Answer{Commit: commit}, got, "a commit needs no asking")
	_, err = b.Commit(t.Context(), demo, "none")
	require.ErrorIs(t, err, errRefused)
	_, err = b.Commit(t.Context(), demo, "../main")
	require.Error(t, err)

	stop()
	now = now.Add(3 * time.Hour)
	got, err = b.Commit(t.Context(), demo, "main")
	require.NoError(t, err)
	require.Equal(t, second, got.Commit)
	require.True(t, got.Stale)
	require.Equal(t, []string{"the Hub cannot be asked; main was commit " + string(second[:8]) + " 3 hours ago, says this machine"}, got.Notes)
	said := b.log.lines("INFO")
	require.Len(t, said, 3, "once for each answer: the Hub's two, and the last one that was known")
	require.Contains(t, said[0], "revision=main commit="+string(commit))
	require.Contains(t, said[2], `learnt="3 hours ago"`)
}

func TestOneQuestionForAllWhoAskAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := &stub{info: func(context.Context, string) (ref.Commit, json.RawMessage, error) {
			time.Sleep(100 * time.Millisecond)
			return commitA, json.RawMessage(`{}`), nil
		}}
		b := newBench(t, hub, nil)
		ask := func(tokens ...string) {
			var wait sync.WaitGroup
			for _, token := range tokens {
				wait.Go(func() {
					ctx := t.Context()
					if token != "" {
						ctx = caller.With(ctx, token)
					}
					got, err := b.Commit(ctx, demo, "main")
					require.NoError(t, err)
					require.Equal(t, commitA, got.Commit)
				})
			}
			wait.Wait()
		}
		ask("", "", "", "", "", "", "", "")
		require.Len(t, hub.asked, 1)
		ask("alice", "bob", "alice", "bob", "")
		require.Len(t, hub.asked, 3, "another caller may get another answer")
		time.Sleep(freshFor)
		ask("alice", "alice")
		require.Len(t, hub.asked, 4)

		anonymous := caller.With(t.Context(), "")
		_, err := b.Commit(anonymous, demo, "main")
		require.NoError(t, err)
		require.Len(t, hub.asked, 5, "nobody is not the node's own user")
	})
}

func TestOwnAnswerBeforeTheNeighbours(t *testing.T) {
	t.Parallel()
	n := &neighbours{claims: []Claim{{commitB, ageOf(-time.Hour), "near"}, {commitA, ageOf(time.Hour), "far"}}}
	b := newBench(t, &stub{}, n)
	require.NoError(t, b.store.SetRef(demo, "main", commitA))
	got, err := b.Commit(t.Context(), demo, "main")
	require.NoError(t, err)
	require.Equal(t, commitA, got.Commit, "it was seen here")
	require.Equal(t, "this machine", got.From)
	require.Len(t, got.Notes, 2)
	require.Contains(t, got.Notes[1], "near knows a newer main, bbbbbbbb")
	require.Len(t, b.log.lines("WARN"), 1)
}

func TestNeighboursWhoDisagree(t *testing.T) {
	t.Parallel()
	n := &neighbours{claims: []Claim{{commitA, ageOf(26 * time.Hour), "old"}, {"nonsense", ageOf(0), "liar"}, {commitB, ageOf(2 * time.Minute), "young"}}}
	b := newBench(t, &stub{}, n)
	got, err := b.Commit(t.Context(), demo, "main")
	require.NoError(t, err)
	require.Equal(t, commitB, got.Commit)
	require.Equal(t, "young", got.From)
	require.Equal(t, []string{
		"the Hub cannot be asked; main was commit bbbbbbbb 2 minutes ago, says young",
		"old knows another commit, aaaaaaaa; the newer answer is used",
	}, got.Notes)
	require.Len(t, b.log.lines("WARN"), 1)
	require.Equal(t, "young", n.claims[2].From, "what they said stays as it is")

	n.claims = nil
	_, err = b.Commit(t.Context(), demo, "other")
	require.ErrorIs(t, err, errAway)
	require.ErrorContains(t, err, "nobody in the swarm knows")
}

func TestARumourIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &neighbours{}
		b := newBench(t, &stub{}, n)
		b.cfg.Others = func(context.Context) bool {
			if len(n.claims) == 0 {
				n.claims = []Claim{{commitA, time.Now(), "near"}}
			}
			return true
		}
		got, err := b.Commit(t.Context(), demo, "main")
		require.NoError(t, err)
		require.Equal(t, commitA, got.Commit)

		b.cfg.Others = func(context.Context) bool { n.claims = nil; return true }
		n.claims = nil
		began := time.Now()
		_, err = b.Commit(t.Context(), demo, "other")
		require.ErrorIs(t, err, errAway)
		require.Equal(t, rumourMost, time.Since(began))
	})
}

func TestASilentHub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &neighbours{claims: []Claim{{commitB, ageOf(20 * time.Second), "near"}, {commitA, ageOf(time.Hour), "far"}}}
		b := newBench(t, silent(), n)
		began := time.Now()
		got, err := b.Commit(t.Context(), demo, "main")
		require.NoError(t, err)
		require.Equal(t, commitB, got.Commit)
		require.True(t, got.Stale)
		require.Equal(t, hush, time.Since(began))
		require.Empty(t, b.log.lines("WARN"), "what is old is no contradiction")

		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err = b.Commit(ctx, demo, "main")
		require.ErrorIs(t, err, context.DeadlineExceeded, "nobody has just heard from the Hub")
	})
}

func TestTwoWhoHaveJustHeardAndDisagree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &neighbours{claims: []Claim{{commitB, ageOf(0), "near"}, {commitA, ageOf(time.Second), "far"}}}
		b := newBench(t, silent(), n)
		require.NoError(t, b.store.SetRef(demo, "main", commitA))
		got, err := b.Commit(t.Context(), demo, "main")
		require.NoError(t, err)
		require.Equal(t, commitA, got.Commit, "it was seen here before")
		require.Contains(t, got.Notes[1], "near knows another commit")
		require.Len(t, b.log.lines("WARN"), 1)
	})
}

func TestInfo(t *testing.T) {
	t.Parallel()
	_, asked, commit, stop := realHub(t)
	b := newBench(t, asked, nil)
	from := func(revision string, query url.Values) (got map[string]any) {
		info, err := b.Info(t.Context(), demo, revision, query)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(info, &got))
		return got
	}
	require.Equal(t, string(commit), from("main", nil)["sha"])
	require.Contains(t, from("main", url.Values{"expand": {"usedStorage"}}), "usedStorage")
	require.NotContains(t, from("main", url.Values{"expand": {"usedStorage"}}), "siblings")
	_, err := b.Info(t.Context(), demo, string(commitA), nil)
	require.ErrorIs(t, err, errRefused)

	stop()
	again := from("main", url.Values{"blobs": {"true"}})
	require.Equal(t, "2026-01-02T03:04:05.000Z", again["createdAt"], "the Hub's last word, of the whole")
	require.Equal(t, again, from(string(commit), url.Values{"blobs": {"true"}}))
}

func TestMadeUpInfo(t *testing.T) {
	t.Parallel()
	for _, repo := range []ref.Repo{demo, {Type: ref.Dataset, ID: "org/data"}, {Type: ref.Space, ID: "org/space"}, {Type: ref.Model, ID: "gpt2"}} {
		n := &neighbours{
			claims: []Claim{{commitA, ageOf(time.Hour), "near"}},
			told:   []Told{{Files: []ref.Listed{listed("b", 1), listed("a", 2)}, Whole: true, From: "near"}},
		}
		b := newBench(t, &stub{}, n)
		info, err := b.Info(t.Context(), repo, "main", nil)
		require.NoError(t, err)
		var got map[string]any
		require.NoError(t, json.Unmarshal(info, &got))
		require.Equal(t, repo.ID, got["id"])
		require.Equal(t, string(commitA), got["sha"])
		for _, no := range []string{"private", "gated", "disabled"} {
			require.Equal(t, false, got[no], no)
		}
		require.Equal(t, []any{}, got["tags"])
		require.Equal(t, []any{map[string]any{"rfilename": "a"}, map[string]any{"rfilename": "b"}}, got["siblings"])
		require.Equal(t, repo.Type == ref.Model, got["modelId"] != nil)

		n.told = nil
		info, err = b.Info(t.Context(), repo, string(commitB), nil)
		require.NoError(t, err)
		require.NotContains(t, string(info), "siblings", "nobody knows them, which is not none")
		require.Contains(t, string(info), commitB)
	}
}
