package service

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the files that are compared with")

// specs are an everyday service and one of whose words each means something to one of
// the formats.
var specs = map[string]Spec{
	"plain": {Program: "/usr/local/bin/hffs", Args: []string{"up"}},
	"odd": {
		Program: "/opt/100% \"mine\"/$HOME/hffs",
		Args:    []string{"up", "--swarm=lab 3; $USER %h <&>", "--name=", `--peer=a\b"c`, "--log-file=/tmp/it's\n\tnew #1"},
		Env:     []Var{{"HF_HOME", `/data/ä %t "$x" <b>&\`}, {"HF_ENDPOINT", "https://a.example,https://b.example"}},
	},
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for name, s := range specs {
		for ext, text := range map[string]string{"service": Unit(s), "plist": Agent(s), "xml": Task(s, `LAB\ann`)} {
			path := filepath.Join("testdata", name+"."+ext)
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), text, path)
		}
	}
}

// systemd itself finds nothing to say about the units.
func TestUnitVerifies(t *testing.T) {
	t.Parallel()
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil && os.Getenv("HFFS_REQUIRE_LAB") == "" {
		t.Skip("systemd-analyze is not installed")
	}
	require.NoError(t, err)
	for name, s := range specs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			s.Program = filepath.Join(home, s.Program)
			require.NoError(t, os.MkdirAll(filepath.Dir(s.Program), 0o755))
			require.NoError(t, os.WriteFile(s.Program, []byte("#!/bin/sh\n"), 0o755))
			unit := filepath.Join(home, UnitName)
			require.NoError(t, os.WriteFile(unit, []byte(Unit(s)), 0o644))
			require.Empty(t, verified(t, verify, home, unit))
			require.NoError(t, os.WriteFile(unit, []byte(Unit(s)+"Wanted=x\n"), 0o644))
			require.Contains(t, verified(t, verify, home, unit), "Wanted", "it says so when something is wrong")
		})
	}
}

func verified(t *testing.T, verify, home, unit string) string {
	t.Helper()
	cmd := exec.Command(verify, "verify", "--user", "--man=no", unit)
	cmd.Env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home, "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// What stands in the XML is what was put in.
func TestXMLIsReadAsItWasMeant(t *testing.T) {
	t.Parallel()
	s := specs["odd"]
	agent := texts(t, strings.NewReader(Agent(s)), "string")
	require.Equal(t, append([]string{Label, s.Program}, s.Args...), agent[:2+len(s.Args)])
	require.Contains(t, agent, s.Env[0].Value)
	task := strings.Replace(Task(s, `LAB\ann`), `encoding="UTF-16"`, `encoding="UTF-8"`, 1)
	require.Equal(t, []string{`LAB\ann`, `LAB\ann`}, texts(t, strings.NewReader(task), "UserId"))
	require.Equal(t, append([]string{"--headless", s.Program}, s.Args...), windowsWords(texts(t, strings.NewReader(task), "Arguments")[0]))
}

// texts are the contents of all elements of a name.
func texts(t *testing.T, r io.Reader, name string) (all []string) {
	t.Helper()
	d := xml.NewDecoder(r)
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == name {
			var text string
			require.NoError(t, d.DecodeElement(&text, &e))
			all = append(all, text)
		}
	}
}

// windowsWords takes a command line apart as CommandLineToArgvW does.
func windowsWords(line string) (words []string) {
	var word []byte
	in, open := false, false
	for i := 0; i < len(line); i++ {
		slashes := 0
		for i < len(line) && line[i] == '\\' {
			slashes++
			i++
		}
		mark := i < len(line) && line[i] == '"'
		if slashes > 0 {
			in = true
			if mark {
				word = append(word, bytes.Repeat([]byte{'\\'}, slashes/2)...)
			} else {
				word = append(word, bytes.Repeat([]byte{'\\'}, slashes)...)
			}
		}
		switch {
		case i == len(line):
		case mark && slashes%2 == 1:
			word = append(word, '"')
		case mark:
			in, open = true, !open
		case !open && (line[i] == ' ' || line[i] == '\t'):
			if in {
				words = append(words, string(word))
			}
			word, in = nil, false
		default:
			in = true
			word = append(word, line[i])
		}
	}
	if in {
		words = append(words, string(word))
	}
	return words
}

func TestWindowsWords(t *testing.T) {
	t.Parallel()
	words := []string{"", "a", "a b", `a"b`, `C:\x y\`, `C:\x\`, `\\"`, `a\\b c\\`, "tab\there"}
	var line []string
	for _, w := range words {
		line = append(line, windowsWord(w))
	}
	require.Equal(t, words, windowsWords(strings.Join(line, " ")))
}

func TestUTF16(t *testing.T) {
	t.Parallel()
	b := UTF16("ä\n😀")
	require.Equal(t, []byte{0xff, 0xfe}, b[:2])
	var units []uint16
	for rest := b[2:]; len(rest) > 0; rest = rest[2:] {
		units = append(units, binary.LittleEndian.Uint16(rest))
	}
	require.Equal(t, "ä\r\n😀", string(utf16.Decode(units)))
}

func TestKeep(t *testing.T) {
	t.Parallel()
	vars, left := Keep([]string{
		"HF_HOME=/data", "HF_TOKEN=hf_secret", "PATH=/bin", "HFFS_SWARM=lab3", "HFFS_BEFORE={}", "HF_HUB_OFFLINE=",
		"HTTPS_PROXY=http://ann:pw@proxy:3128", "HTTP_PROXY=http://proxy:3128", "HF_ENDPOINT=https://ann:pw@mirror", "PIP_URL=https://ann:pw@x",
	}, "HFFS_BEFORE")
	require.Equal(t, []Var{{"HF_HOME", "/data"}, {"HFFS_SWARM", "lab3"}, {"HTTP_PROXY", "http://proxy:3128"}}, vars)
	require.Equal(t, []string{"HF_TOKEN", "HTTPS_PROXY", "HF_ENDPOINT"}, left)
}
