package endpoint

import "net/http"

// guard refuses requests that change something and come from a web page of another
// site: a browser sends those without asking anybody, and the node could not tell
// them from its user's. Reads pass: without a word of ours on who else may read, no
// page sees the answer.
func guard(next http.Handler) http.Handler {
	var sites http.CrossOriginProtection
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sites.Check(r) != nil && !onlyReads(r) {
			x := &exchange{w: &answer{ResponseWriter: w}, r: r}
			x.fail(Failure{Status: http.StatusForbidden, Message: "Web pages of other sites may not change anything here"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onlyReads: a POST that asks what files are changes nothing.
func onlyReads(r *http.Request) bool {
	a, err := parse(r.URL.EscapedPath())
	return err == nil && a.verb == askPaths && r.Method == http.MethodPost
}
