package access

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
)

var (
	errAway    = errors.New("the Hub is away")
	errRefused = errors.New("the Hub says no")

	demo  = ref.Repo{Type: ref.Model, ID: "org/demo"}
	gated = ref.Repo{Type: ref.Dataset, ID: "org/gated"}
)

func refused(err error) bool { return errors.Is(err, errRefused) }

// stub is a Hub where all repos are public but gated, which some tokens may read.
type stub struct {
	mu     sync.Mutex // guards what follows
	away   bool
	silent bool
	public map[ref.Repo]bool
	may    map[string]bool // tokens
	asked  []string
	times  []time.Time
}

func newStub() *stub {
	return &stub{public: map[ref.Repo]bool{demo: true}, may: map[string]bool{"good": true}}
}

func (s *stub) change(f func(*stub)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *stub) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.asked...)
}

func (s *stub) note(ctx context.Context, what string) error {
	s.mu.Lock()
	s.asked, s.times = append(s.asked, what), append(s.times, time.Now())
	silent, away := s.silent, s.away
	s.mu.Unlock()
	if silent {
		<-ctx.Done()
		return errAway
	}
	if away {
		return errAway
	}
	return nil
}

func (s *stub) Public(ctx context.Context, repo ref.Repo) (bool, error) {
	if err := s.note(ctx, "public "+repo.ID); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.public[repo], nil
}

func (s *stub) May(ctx context.Context, repo ref.Repo) error {
	token := caller.Token(ctx, "own")
	if err := s.note(ctx, "may "+token+" "+repo.ID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.public[repo] && !s.may[token] {
		return fmt.Errorf("%w to %s", errRefused, token)
	}
	return nil
}

// started is a book whose Run goes on until the test ends.
func started(t *testing.T, cfg Config) (b *Book, stop func()) {
	t.Helper()
	cfg.Refused = refused
	b = New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return b, stop
}

// bubble runs a test on a clock of its own; what it starts has ended before it does.
func bubble(t *testing.T, cfg Config, test func(t *testing.T, b *Book)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, stop := started(t, cfg)
		defer stop()
		test(t, b)
	})
}

func TestNothingIsSharedUntilTheHubShowsItToEverybody(t *testing.T) {
	for _, own := range []string{"", "own"} {
		t.Run("token "+own, func(t *testing.T) {
			hub := newStub()
			bubble(t, Config{Hub: hub, Own: own}, func(t *testing.T, b *Book) {
				require.False(t, b.Shared(gated))
				require.False(t, b.Shared(demo))
				<-b.Changes()
				require.True(t, b.Shared(demo))
				time.Sleep(time.Minute)
				require.False(t, b.Shared(gated))
				require.ElementsMatch(t, []string{"public org/demo", "public org/gated"}, hub.questions())
			})
		})
	}
}

func TestItIsKnownWhatIsWithheldForWantOfAnAnswer(t *testing.T) {
	hub := newStub()
	hub.change(func(s *stub) { s.away = true })
	bubble(t, Config{Hub: hub}, func(t *testing.T, b *Book) {
		require.False(t, b.Shared(demo))
		require.False(t, b.Shared(gated))
		time.Sleep(time.Minute)
		require.Equal(t, 2, b.Withheld())
		hub.change(func(s *stub) { s.away = false })
		time.Sleep(5 * time.Minute)
		require.Zero(t, b.Withheld())
	})
}

func TestWhatCameFromNeighboursIsPassedOnUntilTheHubSaysNo(t *testing.T) {
	hub := newStub()
	hub.change(func(s *stub) { s.away = true })
	bubble(t, Config{Hub: hub}, func(t *testing.T, b *Book) {
		b.Heard(gated)
		require.True(t, b.Shared(gated))
		time.Sleep(time.Minute)
		require.True(t, b.Shared(gated))
		hub.change(func(s *stub) { s.away = false })
		time.Sleep(2 * time.Minute)
		require.False(t, b.Shared(gated))
		b.Heard(gated)
		require.False(t, b.Shared(gated), "the Hub's word stays")
	})
}

func TestTheUserWantsAllShared(t *testing.T) {
	hub := newStub()
	bubble(t, Config{Hub: hub, Own: "own", ShareAll: true}, func(t *testing.T, b *Book) {
		require.True(t, b.Shared(gated))
		require.True(t, b.Check(t.Context(), gated))
		require.Empty(t, hub.questions())
		require.ErrorIs(t, b.May(caller.With(t.Context(), "bad"), gated), errRefused, "which is about others, not about callers")
	})
}

func TestACallersTokenMayHaveBroughtWhatIsNotPublic(t *testing.T) {
	hub := newStub()
	hub.may["good"] = true
	bubble(t, Config{Hub: hub}, func(t *testing.T, b *Book) {
		require.NoError(t, b.May(caller.With(t.Context(), "good"), gated))
		hub.change(func(s *stub) { s.away = true })
		require.False(t, b.Shared(gated), "before the first byte of it is here")
		b.Learned(demo, false)
		require.False(t, b.Shared(demo))
		hub.change(func(s *stub) { s.away = false })
		time.Sleep(2 * restMost)
		require.True(t, b.Shared(demo))
		require.False(t, b.Shared(gated))
	})
}

func TestWhoReadsWithoutATokenShowsThatItIsPublic(t *testing.T) {
	hub := newStub()
	bubble(t, Config{Hub: hub, Own: "own"}, func(t *testing.T, b *Book) {
		b.Learned(demo, true)
		<-b.Changes()
		require.True(t, b.Shared(demo))
		require.NoError(t, b.May(caller.With(t.Context(), "anybody"), demo))
		b.Learned(demo, false)
		require.True(t, b.Shared(demo))
		require.Empty(t, hub.questions())
	})
}

func TestCheckWaits(t *testing.T) {
	hub := newStub()
	bubble(t, Config{Hub: hub, Own: "own"}, func(t *testing.T, b *Book) {
		require.True(t, b.Check(t.Context(), demo))
		require.False(t, b.Check(t.Context(), gated))
		require.True(t, b.Check(t.Context(), demo))
		require.Len(t, hub.questions(), 2)

		time.Sleep(6 * 24 * time.Hour)
		require.True(t, b.Check(t.Context(), demo))
		require.Len(t, hub.questions(), 2)
		hub.change(func(s *stub) { s.public[demo] = false })
		time.Sleep(2 * 24 * time.Hour)
		require.False(t, b.Check(t.Context(), demo), "it was gated meanwhile")
		require.False(t, b.Shared(demo))
	})
}

func TestTheHubIsAskedAgainAfterSomeDays(t *testing.T) {
	hub := newStub()
	bubble(t, Config{Hub: hub}, func(t *testing.T, b *Book) {
		b.Learned(demo, true)
		hub.change(func(s *stub) { s.public[demo] = false })
		require.True(t, b.Shared(demo))
		time.Sleep(8 * 24 * time.Hour)
		require.False(t, b.Shared(demo), "without anybody's asking")
		require.Len(t, b.Changes(), 1)
	})
}

func TestRunIsPolite(t *testing.T) {
	hub := newStub()
	bubble(t, Config{Hub: hub}, func(t *testing.T, b *Book) {
		for i := range 20 {
			for range 3 {
				b.Shared(ref.Repo{Type: ref.Model, ID: fmt.Sprintf("org/n%d", i)})
			}
		}
		time.Sleep(time.Minute)
		require.Len(t, hub.questions(), 20)
		for i := range hub.times[1:] {
			require.GreaterOrEqual(t, hub.times[i+1].Sub(hub.times[i]), pace)
		}

		hub.change(func(s *stub) { s.away, s.asked = true, nil })
		b.Shared(gated)
		time.Sleep(10 * time.Minute)
		away := len(hub.questions())
		require.Greater(t, away, 5)
		require.Less(t, away, 16, "it rests the longer, the longer the Hub is away")
		hub.change(func(s *stub) { s.away = false })
		time.Sleep(2 * restMost)
		require.Len(t, hub.questions(), away+1)
	})
}

func TestCallers(t *testing.T) {
	hub := newStub()
	bubble(t, Config{Hub: hub, Own: "good"}, func(t *testing.T, b *Book) {
		good, bad := caller.With(t.Context(), "good"), caller.With(t.Context(), "bad")
		for range 3 {
			require.NoError(t, b.May(good, gated))
			require.NoError(t, b.May(t.Context(), gated), "the node's own user")
			require.ErrorIs(t, b.May(bad, gated), errRefused)
			require.ErrorIs(t, b.May(caller.With(t.Context(), ""), gated), errRefused)
		}
		may := func() (n int) {
			for _, q := range hub.questions() {
				if strings.HasPrefix(q, "may ") {
					n++
				}
			}
			return n
		}
		require.Equal(t, 3, may())
		time.Sleep(refusalFor)
		require.ErrorIs(t, b.May(bad, gated), errRefused)
		require.NoError(t, b.May(good, gated))
		require.Equal(t, 4, may())
		time.Sleep(grantFor)
		hub.change(func(s *stub) { s.may["good"], s.may["bad"] = false, true })
		require.ErrorIs(t, b.May(good, gated), errRefused, "it was taken away from him")
		require.NoError(t, b.May(bad, gated))
		hub.change(func(s *stub) { s.away = true })
		time.Sleep(refusalFor)
		require.ErrorIs(t, b.May(good, gated), ErrNoAccess, "even from the node's own user")
	})
}

func TestCallersWhileTheHubIsAway(t *testing.T) {
	hub := newStub()
	hub.may["friend"] = true
	bubble(t, Config{Hub: hub, Own: "own"}, func(t *testing.T, b *Book) {
		friend := caller.With(t.Context(), "friend")
		require.NoError(t, b.May(friend, gated))
		require.True(t, b.Check(t.Context(), demo))
		hub.change(func(s *stub) { s.away = true })
		time.Sleep(time.Hour)
		require.NoError(t, b.May(friend, gated), "the Hub said so before")
		require.NoError(t, b.May(t.Context(), gated), "the machine's own user")
		for token, ask := range map[string]string{"": "log in with a token", "stranger": "when the Hub can be reached"} {
			err := b.May(caller.With(t.Context(), token), gated)
			require.ErrorIs(t, err, ErrNoAccess)
			require.ErrorIs(t, err, errAway)
			require.ErrorContains(t, err, ask)
			require.NotContains(t, err.Error(), "stranger", "a token")
			require.NoError(t, b.May(caller.With(t.Context(), token), demo), "public")
		}
		time.Sleep(graceFor)
		require.ErrorIs(t, b.May(friend, gated), ErrNoAccess)
	})
}

func TestNobodyIsTurnedAwayFromWhatCanOnlyBePublic(t *testing.T) {
	hub := newStub()
	hub.away = true
	bubble(t, Config{Hub: hub}, func(t *testing.T, b *Book) {
		require.NoError(t, b.May(caller.With(t.Context(), ""), demo))
		require.NoError(t, b.May(caller.With(t.Context(), "some token"), demo))
		b.Learned(gated, false)
		require.ErrorIs(t, b.May(caller.With(t.Context(), ""), gated), ErrNoAccess)
		require.ErrorIs(t, b.May(t.Context(), gated), ErrNoAccess)
	})
}

func TestASilentHubIsNotWaitedForWhereItIsNotNeeded(t *testing.T) {
	hub := newStub()
	hub.silent = true
	bubble(t, Config{Hub: hub, Own: "own"}, func(t *testing.T, b *Book) {
		began := time.Now()
		require.NoError(t, b.May(t.Context(), gated))
		require.Equal(t, patience, time.Since(began))
		require.NoError(t, b.May(t.Context(), demo))
		require.Equal(t, patience, time.Since(began), "it is not even asked for a while")

		short, cancel := context.WithTimeout(caller.With(t.Context(), "other"), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, b.May(short, gated), context.DeadlineExceeded)
	})
}

func TestTheBookOutlastsTheProcess(t *testing.T) {
	hub := newStub()
	path := filepath.Join(t.TempDir(), "access.json")
	cfg := Config{Hub: hub, Path: path, Own: "secret-own"}
	good := caller.With(t.Context(), "good")
	first, stop := started(t, cfg)
	require.True(t, first.Check(t.Context(), demo))
	require.False(t, first.Check(t.Context(), gated))
	require.NoError(t, first.May(good, gated))
	stop()

	hub.away = true
	again, _ := started(t, cfg)
	require.True(t, again.Shared(demo))
	require.False(t, again.Shared(gated))
	require.NoError(t, again.May(good, gated))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), caller.Mark("good"))
	require.NotContains(t, string(text), "secret-own")
	require.NotContains(t, string(text), `"good"`)
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" { // where modes say little
		require.EqualValues(t, 0o600, info.Mode().Perm())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing but the book")
}

func TestWhatIsNoLongerSharedIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.json")
	New(Config{Hub: newStub(), Path: path}).Learned(gated, false)
	require.False(t, New(Config{Hub: newStub(), Path: path}).Shared(gated), "nobody has run it")
}

func TestADamagedBook(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.json")
	for _, text := range []string{"", "{", `{"version":9}`, `{"version":1,"repos":{"../x":{"is":"public"},"models--a":{"is":"?"}}}`} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		b := New(Config{Hub: newStub(), Path: path, Own: "own"})
		require.Empty(t, b.repos)
		require.False(t, b.Shared(demo))
	}
}

func TestTheBookIsBounded(t *testing.T) {
	t.Parallel()
	b := New(Config{Hub: newStub(), Refused: refused})
	b.set(gated, closed)
	for i := range maxRepos + 10 {
		b.set(ref.Repo{Type: ref.Model, ID: fmt.Sprintf("org/n%d", i)}, open)
	}
	require.LessOrEqual(t, len(b.repos), maxRepos)
	require.False(t, b.Shared(gated), "what is not public is the last to be forgotten")
	for i := range 3 * maxRefusals {
		require.Error(t, b.May(caller.With(t.Context(), fmt.Sprint(i)), gated))
	}
	require.Equal(t, maxRefusals, b.refusals.Len())
	for i := range 2 * maxRepos {
		b.Shared(ref.Repo{Type: ref.Space, ID: fmt.Sprintf("org/n%d", i)})
	}
	require.LessOrEqual(t, len(b.queue), maxRepos)
}

func FuzzRead(f *testing.F) {
	b := New(Config{Hub: newStub()})
	b.set(demo, open)
	b.set(gated, closed)
	b.note(pair{caller.Mark("x"), gated}, nil)
	text, err := b.text()
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte(`{"version":1,"repos":{"models--a--b":{"is":"public","at":-9223372036854775808,"again":9223372036854775807}},"grants":[{"caller":"x"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := New(Config{Hub: newStub(), Own: "own"})
		if b.read(text) != nil {
			return
		}
		again, err := b.text()
		require.NoError(t, err)
		require.NoError(t, New(Config{Hub: newStub()}).read(again))
	})
}

func TestWhatNeighboursHandOutServesWithoutTheHub(t *testing.T) {
	hub := newStub()
	hub.away = true
	bubble(t, Config{Hub: hub}, func(t *testing.T, b *Book) {
		require.NoError(t, b.May(caller.With(t.Context(), ""), demo))
		b.Heard(demo)
		require.NoError(t, b.May(caller.With(t.Context(), ""), demo), "also once it is known where it comes from")
	})
}
