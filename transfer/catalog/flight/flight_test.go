package flight

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConcurrentQuestionsAreOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &Group[string, int]{Keep: 2 * time.Second}
		asked := 0
		ask := func(context.Context) (int, error) {
			asked++
			time.Sleep(time.Second)
			return asked, nil
		}
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				got, err := g.Do(t.Context(), "a", ask)
				require.NoError(t, err)
				require.Equal(t, 1, got)
			})
		}
		wait.Wait()
		time.Sleep(1900 * time.Millisecond)
		got, err := g.Do(t.Context(), "a", ask)
		require.NoError(t, err)
		require.Equal(t, 1, got, "it serves for a moment after it came")
		time.Sleep(200 * time.Millisecond)
		got, err = g.Do(t.Context(), "a", ask)
		require.NoError(t, err)
		require.Equal(t, 2, got)
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	t.Parallel()
	g := &Group[string, int]{Keep: time.Hour}
	bad := errors.New("bad")
	_, err := g.Do(t.Context(), "a", func(context.Context) (int, error) { return 0, bad })
	require.ErrorIs(t, err, bad)
	got, err := g.Do(t.Context(), "a", func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	require.Equal(t, 1, got)
}

func TestWhoGoesTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &Group[string, int]{}
		ask := func(ctx context.Context) (int, error) {
			select {
			case <-time.After(time.Minute):
				return 1, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wait sync.WaitGroup
		wait.Go(func() {
			_, err := g.Do(short, "a", ask)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		got, err := g.Do(t.Context(), "a", ask)
		require.NoError(t, err)
		require.Equal(t, 1, got)
		wait.Wait()
	})
}

func TestWhatNobodyWaitsForIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &Group[string, int]{}
		given := make(chan error, 1)
		ask := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // it ends late
			given <- ctx.Err()
			return 0, ctx.Err()
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := g.Do(short, "a", ask)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		got, err := g.Do(t.Context(), "a", func(context.Context) (int, error) { return 2, nil })
		require.NoError(t, err)
		require.Equal(t, 2, got, "who comes after that asks anew")
		require.ErrorIs(t, <-given, context.Canceled)
	})
}

func TestQuestionsHaveALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &Group[string, int]{Limit: time.Minute}
		_, err := g.Do(t.Context(), "a", func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	g := &Group[int, int]{Keep: time.Hour, Most: 100}
	for i := range 2*g.Most + 1 {
		_, err := g.Do(t.Context(), i, func(context.Context) (int, error) { return i, nil })
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(g.calls), g.Most)
}
