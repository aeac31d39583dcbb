package environ

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nasty are values that a shell would make something else of.
var nasty = []Var{
	{Name: "PLAIN", Value: "http://127.0.0.1:7768"},
	{Name: "QUOTES", Value: `it's "so" ''quoted'' '`},
	{Name: "SIGNS", Value: "$HOME `id` $(id) %PATH% !! \\ \\' \\n ~ * ? # ; & | < > { } [ ]"},
	{Name: "BREAKS", Value: "one\ntwo\r\n three\t"},
	{Name: "WIDE", Value: "C:\\Users\\Jürgen\\“模型”‘x’ 🤗"},
	{Name: "TAIL", Value: `ends in \`},
	{Name: "EMPTY", Value: ""},
	{Name: "GONE", Gone: true},
}

// TestShellsReadBack has each shell that is here evaluate the code the way the
// help says, and prints what has become of the variables.
func TestShellsReadBack(t *testing.T) {
	t.Parallel()
	show := `printf '%s\0' "$PLAIN" "$QUOTES" "$SIGNS" "$BREAKS" "$WIDE" "$TAIL" "$EMPTY" "${GONE-gone}"`
	for shell, c := range map[string]struct {
		as, script string
		flags      []string
	}{
		"bash": {"bash", `eval "$CODE"; ` + show, []string{"--norc"}},
		"zsh":  {"zsh", `setopt rcquotes; eval "$CODE"; ` + show, []string{"-f"}},
		"sh":   {"sh", `eval "$CODE"; ` + show, nil},
		"dash": {"sh", `set -u; eval "$CODE"; ` + show, nil},
		"fish": {"fish", `printf %s $CODE | source; set -q GONE; and set GONE still; or set GONE gone
			for v in PLAIN QUOTES SIGNS BREAKS WIDE TAIL EMPTY GONE; printf '%s\0' "$$v"; end`, []string{"--no-config"}},
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(shell)
			if err != nil {
				if os.Getenv("HFFS_REQUIRE_LAB") == "1" {
					t.Fatalf("%s is required here", shell)
				}
				t.Skipf("%s is not installed", shell)
			}
			code, err := Shell(c.as, nasty)
			require.NoError(t, err)
			cmd := exec.Command(path, append(c.flags, "-c", c.script)...)
			cmd.Env = []string{"CODE=" + code, "GONE=still", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
			out, err := cmd.Output()
			require.NoError(t, err)
			want := []string{}
			for _, v := range nasty[:len(nasty)-1] {
				want = append(want, v.Value)
			}
			require.Equal(t, append(want, "gone", ""), strings.Split(string(out), "\x00"))
		})
	}
}

func TestPowerShellCode(t *testing.T) {
	t.Parallel()
	code, err := Shell("powershell", []Var{
		{Name: "A", Value: "it's $x `n \"q\""}, {Name: "B", Value: "1\n2"}, {Name: "C", Value: "ü‘🤗"}, {Name: "D"}, {Name: "E", Gone: true},
	})
	require.NoError(t, err)
	require.Equal(t, "$env:A = 'it''s $x `n \"q\"'\n"+
		"$env:B = '1'+[char]0xa+'2'\n"+
		"$env:C = ''+[char]0xfc+''+[char]0x2018+''+[char]0xd83e+''+[char]0xdd17+''\n"+
		"$env:D = ''\n"+
		"Remove-Item -ErrorAction SilentlyContinue Env:E\n", code)
}

func TestJSON(t *testing.T) {
	t.Parallel()
	code, err := Shell("json", nasty)
	require.NoError(t, err)
	var got map[string]*string
	require.NoError(t, json.Unmarshal([]byte(code), &got))
	require.Len(t, got, len(nasty))
	for _, v := range nasty {
		if v.Gone {
			require.Nil(t, got[v.Name])
		} else {
			require.Equal(t, v.Value, *got[v.Name])
		}
	}
}

func TestKnownShells(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]string{
		"/usr/bin/bash": "bash", "-zsh\n": "zsh", "fish": "fish", `C:\Program Files\PowerShell\7\pwsh.exe`: "powershell",
		"/bin/dash": "sh", "/bin/busybox": "sh", "Powershell.EXE": "powershell", "json": "json",
	} {
		got, ok := Known(program)
		require.True(t, ok, program)
		require.Equal(t, want, got, program)
	}
	for _, program := range []string{"", "make", "/usr/bin/tcsh", "cmd.exe", "python3"} {
		_, ok := Known(program)
		require.False(t, ok, program)
	}
	for _, shell := range Shells {
		_, err := Shell(shell, nil)
		require.NoError(t, err)
	}
	_, err := Shell("tcsh", nil)
	require.Error(t, err)
}
