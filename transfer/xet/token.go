package xet

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
)

// A Token opens a repo's files at one commit to a CAS.
type Token struct {
	CAS     string // the CAS's origin, without a closing slash
	Access  string
	Expires time.Time
}

// String keeps the token out of logs and errors.
func (t Token) String() string { return "token for " + t.CAS }

// GoString keeps it out of %#v as well.
func (t Token) GoString() string { return t.String() }

// tokens keeps what the Hub gave out. A token that will soon be over is renewed
// first; those who need the same one at the same time ask once. What was given to
// one caller serves no other, who may not read the repo.
type tokens struct {
	ask   func(context.Context, ref.Entry) (Token, error)
	now   func() time.Time
	known *lru.Cache[tokenKey, Token]
	asked singleflight.Group
}

type tokenKey struct {
	whose  string // of caller.Mark
	repo   ref.Repo
	commit ref.Commit
}

// keyOf tells callers apart. The node's own token is not known here; a character
// stands for it that no header can bring.
func keyOf(ctx context.Context, e ref.Entry) tokenKey {
	return tokenKey{caller.Mark(caller.Token(ctx, "\x00")), e.Repo, e.Commit}
}

func newTokens(ask func(context.Context, ref.Entry) (Token, error)) *tokens {
	known, err := lru.New[tokenKey, Token](maxTokens)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &tokens{ask: ask, now: time.Now, known: known}
}

func (t *tokens) get(ctx context.Context, e ref.Entry) (Token, error) {
	key := keyOf(ctx, e)
	if token, ok := t.known.Get(key); ok && token.Expires.Sub(t.now()) >= renewBefore {
		return token, nil
	}
	// Who asks first asks for all, and may lose interest before the others do.
	answer := t.asked.DoChan(fmt.Sprint(key), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
		defer cancel()
		token, err := t.ask(ctx, e)
		if err == nil {
			t.known.Add(key, token)
		}
		return token, err
	})
	select {
	case <-ctx.Done():
		return Token{}, context.Cause(ctx)
	case r := <-answer:
		return r.Val.(Token), r.Err
	}
}

// drop forgets a token that the CAS did not accept, if it is still the one that
// is handed out.
func (t *tokens) drop(ctx context.Context, e ref.Entry, bad Token) {
	key := keyOf(ctx, e)
	if token, ok := t.known.Peek(key); ok && token == bad {
		t.known.Remove(key)
	}
}
