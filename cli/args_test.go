package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReorder(t *testing.T) {
	t.Parallel()
	program := (&app{}).commands()
	for _, c := range []struct {
		name     string
		in, want []string
	}{
		{"flags behind", []string{"hffs", "get", "a/b", "f", "--revision", "r", "--json"}, []string{"hffs", "get", "--revision", "r", "--json", "--", "a/b", "f"}},
		{"flags between", []string{"hffs", "get", "a/b", "--json", "f"}, []string{"hffs", "get", "--json", "--", "a/b", "f"}},
		{"with equals sign", []string{"hffs", "get", "a/b", "--revision=r", "f"}, []string{"hffs", "get", "--revision=r", "--", "a/b", "f"}},
		{"program's flag behind", []string{"hffs", "get", "a/b", "f", "-v"}, []string{"hffs", "-v", "get", "--", "a/b", "f"}},
		{"a short flag twice in one", []string{"hffs", "get", "-vv", "a/b", "f"}, []string{"hffs", "-v", "-v", "get", "--", "a/b", "f"}},
		{"in front of all", []string{"hffs", "-vv", "ls"}, []string{"hffs", "-v", "-v", "ls"}},
		{"flags of a command that has others below", []string{"hffs", "config", "--json", "-v"}, []string{"hffs", "-v", "config", "--json"}},
		{"name that looks like a flag", []string{"hffs", "get", "a/b", "--", "-f"}, []string{"hffs", "get", "--", "a/b", "-f"}},
		{"another command line behind", []string{"hffs", "run", "--quiet", "ls", "--peer", "x", "-v", "--", "y"}, []string{"hffs", "run", "--quiet", "--", "ls", "--peer", "x", "-v", "--", "y"}},
		{"the same after dashes", []string{"hffs", "run", "-v", "--peer", "p", "--", "--ls", "--", "-q"}, []string{"hffs", "-v", "run", "--peer", "p", "--", "--ls", "--", "-q"}},
		{"a value is missing at the end", []string{"hffs", "get", "a/b", "f", "--local-dir"}, []string{"hffs", "get", "--local-dir"}},
		{"a value is missing in front of a flag", []string{"hffs", "get", "a/b", "--local-dir", "--quiet", "f"}, []string{"hffs", "get", "--local-dir"}},
		{"a value is missing in front of dashes", []string{"hffs", "get", "a/b", "--exclude", "--", "-f"}, []string{"hffs", "get", "--exclude"}},
		{"a value called like the program's flag", []string{"hffs", "get", "a/b", "--revision", "v", "--exclude", "verbose"}, []string{"hffs", "get", "--revision", "v", "--exclude", "verbose", "--", "a/b"}},
		{"a value that begins with dashes", []string{"hffs", "get", "a/b", "--exclude", "--odd"}, []string{"hffs", "get", "--exclude", "--odd", "--", "a/b"}},
		{"nothing behind", []string{"hffs", "status"}, []string{"hffs", "status"}},
		{"sub-command left alone", []string{"hffs", "debug", "hub", "--dir", "x", "y"}, []string{"hffs", "debug", "hub", "--dir", "x", "y"}},
		{"no command", []string{"hffs", "--version"}, []string{"hffs", "--version"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, reorder(program, c.in))
		})
	}
}
