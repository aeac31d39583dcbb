package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hffs/transfer/hub/caller"
)

// token is what a call is made with: the caller's token where the context says
// whose call it is, else the node's own.
func (c *Client) token(ctx context.Context) (string, error) {
	return cleanToken(caller.Token(ctx, c.cfg.Token))
}

// whose stands for the token of a call in what is kept: an answer is good for who
// was given it.
func (c *Client) whose(ctx context.Context) string {
	return caller.Mark(caller.Token(ctx, c.cfg.Token))
}

// isStranger: the call is made with another token than the node's own.
func (c *Client) isStranger(ctx context.Context) bool {
	return caller.Token(ctx, c.cfg.Token) != c.cfg.Token
}

// trusts reports whether tokens may go to the endpoint: to the Hub alone, over a
// line on which nobody can read or answer for it. Where only the line is at fault,
// the user is told.
func (c *Client) trusts(ep *endpoint) bool {
	if ep.hub && !ep.safeForToken() {
		c.warnToken.Do(func() {
			c.cfg.Notice(fmt.Sprintf("the token is not sent to %s: it would travel readable for all on the way (use https)", ep.base))
		})
	}
	return ep.hub && ep.safeForToken()
}

// cleanToken refuses what cannot stand in a header, without repeating it.
func cleanToken(token string) (string, error) {
	token = strings.TrimSpace(token)
	for i := range len(token) {
		if token[i] <= ' ' || token[i] >= 0x7f {
			return "", errors.New("the token has a character that no token has (a blank, a line break?)")
		}
	}
	return token, nil
}
