package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// hub: who answers for it, and how fast?
func hub(ctx context.Context, w World) (lines []Line) {
	if w.Offline {
		return []Line{ok("not asked: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")}
	}
	answers := 0
	all := w.Endpoints(ctx)
	for _, e := range all {
		if e.Err == nil {
			answers++
			lines = append(lines, ok("%s answers in %v", e.Name, e.Took.Round(time.Millisecond)))
		} else {
			lines = append(lines, warn(e.Err.Error(), "what others here hold can be had all the same; HF_ENDPOINT may name mirrors, comma-separated"))
		}
	}
	if answers == 0 && len(all) > 0 {
		last := &lines[len(lines)-1]
		last.State, last.Hint = Fail, "is the network up, is a proxy needed (HTTPS_PROXY)? what others here hold can be had all the same; HF_HUB_OFFLINE=1 says that it is meant so"
	}
	return lines
}

// token: does the Hub accept it?
func token(ctx context.Context, w World) []Line {
	if w.Offline {
		return []Line{ok("not tried: offline")}
	}
	name, err := w.Whoami(ctx)
	switch {
	case err == nil:
		return []Line{ok("it is %s's", name)}
	case errors.Is(err, ErrNoToken):
		return []Line{ok("there is none: gated and private repos cannot be had from the Hub")}
	case errors.Is(err, ErrUnsafe):
		return []Line{warn("it is not sent to this Hub: it would travel readable for all on the way", "use https in HF_ENDPOINT")}
	case errors.Is(err, ErrBadToken):
		return []Line{fail("the Hub does not accept it", "it may be expired: set another HF_TOKEN or run \"hf auth login\"")}
	}
	return []Line{warn("it could not be tried: "+err.Error(), "see hub above")}
}

// Clocks that differ by less than that do no harm; by so much, certificates are refused.
const (
	clockFine = time.Minute
	clockBad  = time.Hour
)

// clock: is it right?
func clock(ctx context.Context, w World) []Line {
	if !w.Offline {
		for _, e := range w.Endpoints(ctx) {
			if e.Ahead != nil {
				return []Line{tick(e.Name, *e.Ahead)}
			}
		}
	}
	var lines []Line
	for _, p := range w.Peers(ctx) {
		if p.Ahead == nil {
			continue
		}
		if l := tick(p.Name, *p.Ahead); l.State != OK || len(lines) == 0 {
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 {
		return []Line{ok("nobody to compare it with")}
	}
	return lines
}

func tick(who string, ahead time.Duration) Line {
	const hint = "have the system set the clock from the network (NTP)"
	off := ahead.Abs().Round(time.Second)
	way := "behind"
	if ahead < 0 {
		way = "ahead of"
	}
	text := fmt.Sprintf("this machine is %v %s %s", off, way, who)
	switch {
	case off > clockBad:
		return fail(text+": certificates may be refused", hint)
	case off > clockFine:
		return warn(text, hint)
	}
	return ok("it agrees with %s", who)
}

// proxy: would programs ask a proxy for the node of this machine?
func proxy(_ context.Context, w World) []Line {
	var set []string
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		if w.Getenv(name) != "" {
			set = append(set, name)
		}
	}
	switch {
	case len(set) == 0:
		return []Line{ok("none is set for plain HTTP")}
	case excepted(w.Getenv("NO_PROXY")) || excepted(w.Getenv("no_proxy")):
		return []Line{ok("%s is set, and NO_PROXY keeps this machine from it", list(set))}
	}
	return []Line{warn(list(set)+" is set, so programs may ask a proxy for the node on 127.0.0.1", "set NO_PROXY=127.0.0.1,localhost; \"hffs run\" and \"hffs env\" do")}
}

func excepted(noProxy string) bool {
	for host := range strings.SplitSeq(noProxy, ",") {
		switch strings.TrimSpace(host) {
		case "*", "127.0.0.1", "127.0.0.0/8":
			return true
		}
	}
	return false
}

// endpoint: where does HF_ENDPOINT lead?
func endpoint(ctx context.Context, w World) []Line {
	list := w.Environ("HF_ENDPOINT")
	if strings.TrimSpace(list) == "" {
		return []Line{ok("HF_ENDPOINT is not set: other programs ask the Hub itself, except under \"hffs run\" or \"hffs env\"")}
	}
	for e := range strings.SplitSeq(list, ",") {
		ours, answers := w.Leads(ctx, strings.TrimSpace(e))
		switch {
		case ours && answers:
			return []Line{ok("HF_ENDPOINT leads to the node of this machine, %s", strings.TrimSpace(e))}
		case ours:
			return []Line{fail("HF_ENDPOINT leads to a node of this machine, "+strings.TrimSpace(e)+", and none answers there: other programs get nothing",
				"start it with \"hffs up\", or take HF_ENDPOINT back: eval \"$(hffs env --unset)\"")}
		}
	}
	return []Line{ok("HF_ENDPOINT is %s", list)}
}
