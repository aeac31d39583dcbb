package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cli/service"
)

func TestManagers(t *testing.T) {
	t.Parallel()
	getenv := func(name string) string {
		return map[string]string{"USERDOMAIN": "LAB", "USERNAME": "ann"}[name]
	}
	spec := service.Spec{Program: "/bin/hffs", Args: []string{"up"}}
	for goos, want := range map[string]struct{ file, install, log string }{
		"linux":   {"home/.config/systemd/user/hffs.service", "systemctl --user daemon-reload && systemctl --user enable hffs.service && systemctl --user restart hffs.service", "journalctl --user -u hffs.service"},
		"darwin":  {"home/Library/LaunchAgents/hffs.plist", "launchctl bootstrap gui/501 home/Library/LaunchAgents/hffs.plist", "state/daemon.log"},
		"windows": {"state/service-task.xml", "schtasks /create /tn hffs /xml state/service-task.xml /f && schtasks /run /tn hffs", "state/daemon.log"},
	} {
		m := managerFor(goos, getenv, "home", "state", 501, spec)
		require.Equal(t, want.file, filepath.ToSlash(m.file))
		require.Equal(t, want.install, filepath.ToSlash(typed(m.install())))
		require.Equal(t, want.log, filepath.ToSlash(m.log))
		require.NotEmpty(t, m.prepare, "the system is asked while the old node is still there")
		require.NotEmpty(t, m.start)
		require.NotEmpty(t, m.without)
		require.NotEmpty(t, m.remove)
		require.NotEmpty(t, m.content)
	}
	config := func(name string) string { return map[string]string{"XDG_CONFIG_HOME": "elsewhere"}[name] }
	require.Equal(t, "elsewhere/systemd/user/hffs.service", filepath.ToSlash(managerFor("linux", config, "home", "state", 0, spec).file))
}

// What is done with the service commands has an end that says what was said.
func TestCarryOut(t *testing.T) {
	t.Parallel()
	require.NoError(t, carryOut(t.Context(), [][]string{{"go", "version"}, {forgiven, "go", "no-such-thing"}}))
	err := carryOut(t.Context(), [][]string{{"go", "no-such-thing"}})
	require.ErrorContains(t, err, "go no-such-thing: go no-such-thing: unknown command")
	require.NotContains(t, err.Error(), "\n")
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	require.Equal(t, "rm /usr/local/bin/hffs", deletion("linux", "/usr/local/bin/hffs"))
	require.Equal(t, `rm '/opt/it'\''s mine/hffs'`, deletion("darwin", "/opt/it's mine/hffs"))
	require.Equal(t, `del "C:\Program Files\hffs.exe"`, deletion("windows", `C:\Program Files\hffs.exe`))
}

func TestConsentIsNotGivenByWhoeverIsNotThere(t *testing.T) {
	t.Parallel()
	line, err := typedLine(t.Context(), strings.NewReader("yes\n"))
	require.NoError(t, err)
	require.Equal(t, "yes\n", line)
	line, err = typedLine(t.Context(), strings.NewReader(""))
	require.Error(t, err)
	require.Empty(t, line)
}
