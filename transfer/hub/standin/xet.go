package standin

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// OverXet puts the content into the CAS, cut by the rule, so that the Hub offers
// it by the Xet protocol. What a client uploads is there already.
func (h *Hub) OverXet(c Content, rule chunk.Rule) (Content, error) {
	r, err := c.Open()
	if err != nil {
		return c, err
	}
	defer r.Close()
	hash, err := h.store.Make(r, rule)
	return c.LFS().Xet(ref.XetHash(hash.String())), err
}

// ExpireXetTokens voids all tokens that the CAS would accept so far.
func (h *Hub) ExpireXetTokens() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.xetAge++
}

// revoke voids, after a while, the tokens that were given out before it is over.
// They do not say so: by their own word they go on being good.
func (h *Hub) revoke(after time.Duration) {
	if after <= 0 {
		h.ExpireXetTokens()
		return
	}
	time.AfterFunc(after, h.ExpireXetTokens)
}

func (h *Hub) age() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.xetAge
}

// xetToken is what a token for the CAS says. It is signed, so the CAS keeps no
// list of them.
type xetToken struct {
	Repo    ref.Repo
	Write   bool
	Expires time.Time
	Age     int
}

func (t xetToken) String() string {
	data, err := json.Marshal(t)
	if err != nil {
		panic(err) // names and numbers
	}
	text := base64.RawURLEncoding.EncodeToString(data)
	return "xet_" + text + "." + signature("token", text)
}

func parseXetToken(s string) (t xetToken, ok bool) {
	text, sum, _ := strings.Cut(strings.TrimPrefix(s, "xet_"), ".")
	if !hmac.Equal([]byte(sum), []byte(signature("token", text))) {
		return t, false
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	return t, err == nil && json.Unmarshal(data, &t) == nil
}

// readToken answers .../xet-read-token/{revision} to whoever may read the
// repo's files.
func (x *exchange) readToken(a ask) {
	v, ok := x.openContent(a)
	if !ok {
		return
	}
	if _, ok := x.commit(v, a.revision); ok {
		x.giveToken(v.name, false)
	}
}

func (x *exchange) writeToken(a ask) {
	if v, ok := x.openToWrite(a); ok {
		x.giveToken(v.name, true)
	}
}

func (x *exchange) giveToken(name ref.Repo, write bool) {
	life := x.h.XetTokenLife
	if life == 0 {
		life = time.Hour
	}
	t := xetToken{Repo: name, Write: write, Expires: time.Now().Add(life), Age: x.h.age()}
	h := x.w.Header()
	h.Set("X-Xet-Cas-Url", x.casBase())
	h.Set("X-Xet-Access-Token", t.String())
	h.Set("X-Xet-Token-Expiration", strconv.FormatInt(t.Expires.Unix(), 10))
	x.json(http.StatusOK, map[string]any{"casUrl": x.casBase(), "accessToken": t.String(), "exp": t.Expires.Unix()})
}

// casBase is the CAS's origin as the caller can reach it.
func (x *exchange) casBase() string { return x.reachable(x.run.CASURL()) }

// admit checks the token that came to the CAS, and has answered when it says no.
func (x *exchange) admit(write bool) (xetToken, bool) {
	t, ok := parseXetToken(x.token())
	switch {
	case !ok || time.Now().After(t.Expires) || t.Age != x.h.age():
		x.casFail(http.StatusUnauthorized, "token missing, unknown or expired")
	case write && !t.Write:
		x.casFail(http.StatusForbidden, "this token may only read")
	default:
		return t, true
	}
	return t, false
}
