package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

// A variable means one thing: it is either a flag or one of our own, and equal
// variables are flags of one kind.
func TestVariablesMeanOneThing(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{}
	eachCommand((&app{}).commands().Commands, "hffs", func(name string, c *cli.Command) {
		for _, f := range c.Flags {
			v := variableOf(name, f.Names()[0])
			require.NotContains(t, ownVariables, v, name)
			kind := "value"
			if _, ok := f.(*cli.BoolFlag); ok {
				kind = "switch"
			}
			if before := kinds[v]; before != "" {
				require.Equal(t, before, kind, "%s of %s", v, name)
			}
			kinds[v] = kind
		}
	})
	require.Contains(t, kinds, "HFFS_LIMIT_DOWN")
	require.Contains(t, kinds, "HFFS_NO_MDNS")
}

// -v says what is done, -vv all.
func TestLogLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		given     int
		variable  string
		info, all bool
	}{
		{"nothing", -1, "", false, false},
		{"-v", 1, "", true, false},
		{"-vv", 2, "", true, true},
		{"more", 3, "", true, true},
		{"HFFS_DEBUG", 0, "1", true, true},
	} {
		a := &app{verbose: c.given, getenv: func(string) string { return c.variable }}
		log := a.logFor(slog.LevelWarn)
		require.Equal(t, c.info, log.Enabled(t.Context(), slog.LevelInfo), c.name)
		require.Equal(t, c.all, log.Enabled(t.Context(), slog.LevelDebug), c.name)
		require.True(t, log.Enabled(t.Context(), slog.LevelWarn), c.name)
	}
}

// What is written for people to fill in is right as it stands.
func TestExamplesOfSettings(t *testing.T) {
	t.Parallel()
	for _, f := range settable() {
		name := f.Names()[0]
		path := filepath.Join(t.TempDir(), "hffs.toml")
		require.NoError(t, os.WriteFile(path, []byte(name+" = "+example(f)+"\n"), 0o600))
		file, err := readSettings(path)
		require.NoError(t, err, name)
		require.Len(t, file.all, 1, name)
		require.Equal(t, 1, file.all[name].line)
	}
}

func FuzzReadSettings(f *testing.F) {
	for _, s := range []string{"", "swarm = \"a\"", "port = 1\npeer = [\"a\"]", "a.b = 1", "[x]\ny = 1", "[[x]]", "\"\" = 1", "port = 1e9", "peer = []", "x = {y = 1}", "\ufeffport = 1", "\xff\xfep\x00", "peer = [\"a b\"]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "hffs.toml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		file, err := readSettings(path)
		if err == nil {
			for name, s := range file.all {
				require.NotNil(t, flagOf(settable(), name), name)
				require.Positive(t, s.line)
			}
		}
	})
}
