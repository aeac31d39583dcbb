package standin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// signKey signs the CDN's URLs; it lasts as long as the process.
var signKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}()

// sign makes the URL under which the CDN gives the object for a while.
func (x *exchange) sign(object, file string) string {
	expires := x.expires()
	q := "X-Xet-Cas-Uid=public&response-content-disposition=" + url.QueryEscape(disposition(file)) +
		"&Expires=" + expires + "&Policy=standin&Signature=" + signature(object, expires) + "&Key-Pair-Id=KSTANDIN"
	return x.cdnBase() + object + "?" + q
}

func (x *exchange) expires() string {
	life := x.h.LinkLife
	if life == 0 {
		life = time.Hour
	}
	return strconv.FormatInt(time.Now().Add(life).UnixMilli(), 10)
}

// signature covers what must not be changed: the object and when it expires.
// Expires counts milliseconds here, so that tests need not wait for seconds.
func signature(object, expires string) string {
	mac := hmac.New(sha256.New, signKey)
	fmt.Fprintf(mac, "%s\n%s", object, expires)
	return hex.EncodeToString(mac.Sum(nil))
}

// cdnBase is the CDN's origin as the caller can reach it: a server that listens
// on all addresses is where the caller found this one.
func (x *exchange) cdnBase() string {
	return x.reachable(x.run.CDNURL())
}

func (x *exchange) reachable(origin string) string {
	u, err := url.Parse(origin)
	if ip := net.ParseIP(u.Hostname()); err != nil || ip == nil || !ip.IsUnspecified() {
		return origin
	}
	host, _, err := net.SplitHostPort(x.r.Host)
	if err != nil {
		host = x.r.Host
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.Trim(host, "[]"), u.Port())
}

func (x *exchange) routeCDN() func() {
	if name, ok := strings.CutPrefix(x.r.URL.Path, xorbPrefix); ok {
		return x.routeXorb(name)
	}
	x.h.mu.Lock()
	o, ok := x.h.objects[x.r.URL.Path]
	x.h.mu.Unlock()
	if !ok {
		return func() { x.denied("Access denied") }
	}
	x.h.log.note(func() { x.line.Repo, x.line.File = o.repo.String(), o.path })
	return func() { x.object(o) }
}

// object serves from the CDN: no commit, no linked headers, and an ETag that is
// not the file's.
func (x *exchange) object(o object) {
	if !x.signedFor(x.r.URL.Path) {
		return
	}
	h := x.w.Header()
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", x.r.URL.Query().Get("response-content-disposition"))
	h.Set("Etag", quote(cdnHash(o.content)))
	x.file(o.content)
}

// signedFor checks the URL's signature over what, and has answered when it says
// no.
func (x *exchange) signedFor(what string) bool {
	q := x.r.URL.Query()
	expires, err := strconv.ParseInt(q.Get("Expires"), 10, 64)
	switch {
	case err != nil || !hmac.Equal([]byte(q.Get("Signature")), []byte(signature(what, q.Get("Expires")))):
		x.denied("Access denied")
	case time.Now().UnixMilli() >= expires:
		x.denied("Request has expired")
	default:
		return true
	}
	return false
}

func (x *exchange) denied(message string) {
	body := `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>` + message + `</Message></Error>`
	x.w.Header().Set("Content-Type", "application/xml")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(http.StatusForbidden)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write([]byte(body))
	}
}

// cdnHash is the CDN's name for the content: the Xet hash, or a stand-in for it
// that nobody can take for the sha256.
func cdnHash(c Content) string {
	if c.xet != "" {
		return string(c.xet)
	}
	sum := sha256.Sum256([]byte("xet:" + c.sha256))
	return hex.EncodeToString(sum[:])
}
