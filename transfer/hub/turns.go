package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// lookPatience is what an endpoint gets that was out of reach a moment ago, when
// there is no other: not every file waits the full time for it anew.
const lookPatience = 1500 * time.Millisecond

// listener is the context's key for who wants to hear what a call did without.
type listener struct{}

// Listen has calls under the context tell which endpoints they passed over, which
// files they left out of a list, and why.
func Listen(ctx context.Context, say func(string)) context.Context {
	return context.WithValue(ctx, listener{}, say)
}

func tell(ctx context.Context, text string) {
	if say, ok := ctx.Value(listener{}).(func(string)); ok {
		say(text)
	}
}

// hasty is the context's key for how long a question may take.
type hasty struct{}

// Hasty has calls under the context wait for no endpoint longer than so long: somebody
// waits for the answer who soon does not any more. Then it counts as out of reach.
func Hasty(ctx context.Context, patience time.Duration) context.Context {
	return context.WithValue(ctx, hasty{}, patience)
}

var errSilent = errors.New("it has not answered yet, and whoever asks waits no longer")

// hastily puts a question within the patience of whoever asks.
func hastily(ctx context.Context, ep *endpoint, q question) error {
	patience, ok := ctx.Value(hasty{}).(time.Duration)
	if !ok {
		return q(ctx, ep)
	}
	short, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	err := q(short, ep)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		return &Error{Endpoint: ep.name, Message: errSilent.Error(), kinds: []error{ErrUnreachable}}
	}
	return err
}

// A question is put to one endpoint at a time.
type question func(context.Context, *endpoint) error

// ask puts a question to endpoints in turn until one has answered it. What is for
// the log: what it is about.
func (c *Client) ask(ctx context.Context, what string, among []*endpoint, q question) error {
	if c.cfg.Offline {
		return ErrOffline
	}
	for try := 0; ; try++ {
		err := c.round(ctx, among, q)
		wait := hiccup(err, try)
		if wait == 0 {
			return err
		}
		c.cfg.Log.Info("asked again after a hiccup", "about", what, "wait", wait, "err", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		for _, ep := range among {
			ep.rest(time.Time{})
		}
	}
}

// askHub asks the Hub alone, about what nobody else's word counts for.
func (c *Client) askHub(ctx context.Context, what string, q question) error {
	return c.ask(ctx, what, []*endpoint{hubAmong(c.endpoints)}, q)
}

// hiccup is how long to wait before a Hub that answered, but could not help just
// now, is asked again; 0 for not at all. One that does not answer is another
// matter: then the swarm is asked instead.
func hiccup(err error, try int) time.Duration {
	const tries, longest = 3, 5 * time.Second
	u, ok := errors.AsType[*unreachable](err)
	if !ok || try+1 >= tries {
		return 0
	}
	wait := time.Duration(0)
	for _, said := range u.said {
		e, ok := errors.AsType[*Error](said)
		if ok && (e.Status == http.StatusTooManyRequests || e.Status >= 500) {
			wait = max(wait, e.RetryAfter, 500*time.Millisecond<<try)
		}
	}
	if wait > longest {
		return 0
	}
	return wait
}

// round asks every endpoint once.
func (c *Client) round(ctx context.Context, among []*endpoint, q question) error {
	turns := c.turns(among)
	if turns[0].resting(c.now()) {
		short, cancel := context.WithTimeoutCause(ctx, lookPatience*time.Duration(len(turns)), errStillAway)
		defer cancel()
		err := c.tryAll(short, turns, q)
		if err != nil && ctx.Err() == nil && short.Err() != nil {
			err = verdict([]error{&Error{Endpoint: turns[0].name, Message: errStillAway.Error(), kinds: []error{ErrUnreachable}}})
		}
		return err
	}
	return c.tryAll(ctx, turns, q)
}

var errStillAway = errors.New("it did not answer a moment ago, and does not now")

func (c *Client) tryAll(ctx context.Context, turns []*endpoint, q question) error {
	var said []error
	for _, ep := range turns {
		if ep.resting(c.now()) && mirrorsWord(said) != nil {
			break // it was out of reach a moment ago: a mirror's word will do
		}
		err := hastily(ctx, ep, q)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case ep.hub && isDefinite(err):
			return err
		}
		c.passOver(ctx, ep, err)
		if len(c.endpoints) > 1 {
			tell(ctx, fmt.Sprintf("%s was passed over (%s)", ep.name, reason(err)))
		}
		said = append(said, err)
	}
	return verdict(said)
}

// turns lists endpoints in the order to try them: those at rest last.
func (c *Client) turns(among []*endpoint) []*endpoint {
	var awake, resting []*endpoint
	for _, ep := range among {
		if ep.resting(c.now()) {
			resting = append(resting, ep)
		} else {
			awake = append(awake, ep)
		}
	}
	return append(awake, resting...)
}

// passOver lets an endpoint that could not answer rest, so that not every file
// waits for it anew. A definite no is an answer, and what it has against one caller
// is nothing to the others.
func (c *Client) passOver(ctx context.Context, ep *endpoint, err error) {
	if isDefinite(err) || ep.hub && isPersonal(err) && c.isStranger(ctx) {
		return
	}
	first := ep.rest(c.now().Add(max(restTime, min(retryAfter(err), maxRest))))
	level := slog.LevelDebug
	if first {
		level = slog.LevelInfo
	}
	c.cfg.Log.Log(ctx, level, "endpoint passed over", "endpoint", ep.name, "err", err)
	if first && len(c.endpoints) > 1 {
		c.cfg.Notice(fmt.Sprintf("%s was passed over (%s)", ep.name, reason(err)))
	}
}
