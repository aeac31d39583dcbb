package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cli/control"
	"hffs/cli/ui"
)

// A full disk fails thousands of files in the same way; ten of them say enough.
func TestFewFailuresAreNamed(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	a := &app{ui: ui.Streams{Err: &said}}
	d := control.Done{Failed: 986, Repos: []control.DoneRepo{{Repo: "a/b"}}}
	for i := range 986 {
		d.Repos[0].Files = append(d.Repos[0].Files, control.DoneFile{File: fmt.Sprint("f", i), Error: &control.Error{Code: control.CodeStorage, Message: "full"}})
	}
	require.ErrorContains(t, a.failures(d), "986 of 986 could not be had")
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	require.Len(t, lines, maxFailures+1)
	require.Equal(t, "hffs: f9: full", lines[9])
	require.Equal(t, "hffs: … 976 more", lines[10])
}
