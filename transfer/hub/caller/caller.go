// Package caller says on whose behalf the Hub is asked: the context of a call
// carries the token of who made it, where that is not the node's own user.
//
// A token in a context goes where the node's own would go and nowhere else; see
// package hub.
package caller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

type key struct{}

// With has calls under the context be made with this token; an empty one makes them
// anonymous.
func With(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, key{}, token)
}

// Token is the token of the context, or own where nobody has set one.
func Token(ctx context.Context, own string) string {
	if token, ok := ctx.Value(key{}).(string); ok {
		return token
	}
	return own
}

// Mark stands for a token where the token itself must not be kept: equal tokens
// have equal marks. No token has the empty mark.
func Mark(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("hffs caller\x00" + token))
	return hex.EncodeToString(sum[:16])
}
