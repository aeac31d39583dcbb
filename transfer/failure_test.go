package transfer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWhoComesBackIsToldWhy: once where all was wrong, it is tried again.
func TestWhoComesBackIsToldWhy(t *testing.T) {
	t.Parallel()
	tr := New(Config{})
	ended := func(err error, came int64) error {
		fl := &flight{board: newBoard(), err: err}
		fl.board.update(func(p *Progress) { p.Sources = []SourceState{{Bytes: came}} })
		tr.failedLocked("a", fl)
		return tr.failedLately("a")
	}
	none := &NoSourceError{}
	require.ErrorIs(t, ended(none, 0), none)
	require.NoError(t, ended(nil, 0), "it went well since")
	require.NoError(t, ended(none, 1), "it came on, and was interrupted")
	require.NoError(t, ended(ErrMismatch, 1))
	require.ErrorIs(t, ended(ErrMismatch, 1), ErrMismatch)
	tr.failures[0].at = time.Now().Add(-failureFor - time.Second)
	require.NoError(t, tr.failedLately("a"), "long ago")
}
