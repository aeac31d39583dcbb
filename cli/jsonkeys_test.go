package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"hffs/cli/control"
)

var update = flag.Bool("update", false, "write the files that are compared with; a key that is gone fails all the same")

// Scripts rely on every line of the golden file: a key may come, and none may go or
// become something else.
func TestJSONKeysArePromised(t *testing.T) {
	t.Parallel()
	const path = "testdata/json.golden"
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	promised := strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
	var now []string
	for _, a := range answers() {
		for _, k := range keysOf(reflect.TypeOf(a.value), nil) {
			now = append(now, promiseOf(a, k))
		}
	}
	for _, line := range promised {
		require.Contains(t, now, line, "the key of a script is gone, or has another type; promised were the lines of %s", path)
	}
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(now, "\n")+"\n"), 0o644))
		return
	}
	require.Equal(t, promised, now, "keys are new, or stand elsewhere; to promise them: go test ./cli -run TestJSONKeysArePromised -update")
}

func promiseOf(a answer, k jsonKey) string {
	line := a.command + "  " + k.path + "  " + k.kind
	if k.may {
		line += ", may be absent"
	}
	return line
}

func TestJSONNamesEveryCode(t *testing.T) {
	t.Parallel()
	f, ok := reflect.TypeFor[control.Error]().FieldByName("Code")
	require.True(t, ok)
	for code := range exitCodes {
		if code != codeQuiet && code != codeNoProg && code != codeNoRun { // these never get that far
			require.Contains(t, f.Tag.Get("doc"), string(code))
		}
	}
}

// jq takes such paths, and people can type such keys.
var goodPath = regexp.MustCompile(`^(\.[a-z][a-z0-9_]*(\[\])?)+$`)

func TestJSONKeysAreDescribed(t *testing.T) {
	t.Parallel()
	for _, a := range answers() {
		seen := map[string]bool{}
		for _, k := range keysOf(reflect.TypeOf(a.value), nil) {
			what := a.command + " " + k.path
			require.NotEmpty(t, k.text, "%s has no description: give its field the tag doc", what)
			require.NotRegexp(t, `\.$|^ | $|\n`, k.text, what)
			require.Regexp(t, goodPath, k.path, what)
			require.False(t, seen[k.path], "%s is there twice", what)
			seen[k.path] = true
			if strings.HasSuffix(k.kind, "or null") {
				require.Contains(t, k.text, "null", "%s does not say when it is null", what)
			}
			if k.kind == "any value" {
				require.Regexp(t, "^a string, number", k.text, "%s does not say what it may be", what)
			}
		}
		require.NotEmpty(t, seen, a.command)
	}
}

// Every command that has --json stands among the answers, and only these.
func TestJSONOfEveryCommand(t *testing.T) {
	t.Parallel()
	has := map[string]bool{}
	eachCommand((&app{}).commands().Commands, "hffs", func(name string, c *cli.Command) {
		if slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == "json" }) && !strings.HasPrefix(name, "hffs debug ") {
			has[name] = false
		}
	})
	for _, a := range answers() {
		for _, typed := range append([]string{a.command}, a.also...) {
			name := commandIn(typed, has)
			require.NotEmpty(t, name, "%s takes no --json", typed)
			has[name] = true
		}
	}
	for name, described := range has {
		require.True(t, described, "what %s --json prints is not described: put it among answers", name)
	}
}

// commandIn is the command that a line calls.
func commandIn(line string, commands map[string]bool) (name string) {
	for c := range commands {
		if strings.HasPrefix(line+" ", c+" ") && len(c) > len(name) {
			name = c
		}
	}
	return name
}

// Every answer is held against what the command really prints, in the script.
func TestJSONOfEveryCommandIsTried(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("testdata/script/json.txt")
	require.NoError(t, err)
	for _, a := range answers() {
		require.Contains(t, string(script), "\ndescribed "+a.command+"\n")
	}
}

func TestManualDescribesEveryKey(t *testing.T) {
	t.Parallel()
	page := manual((&app{}).commands())
	_, section, ok := strings.Cut(page, "\n.SH JSON\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n.SH ")
	apart, objects := inSeveral(answers())
	types := slices.Clone(objects)
	for _, a := range answers() {
		require.Contains(t, section, ".SS "+roff(a.command+" --json")+"\n")
		types = append(types, reflect.TypeOf(a.value))
	}
	for _, typ := range types {
		for _, k := range keysOf(typ, apart) {
			require.Contains(t, section, "\n.B "+roff(k.path)+"\n")
			require.Contains(t, section, roff(k.text)+"\n", k.path)
		}
	}
	names := map[string]bool{}
	for _, o := range objects {
		require.False(t, names[nameOf(o)], "two objects are called %s", nameOf(o))
		names[nameOf(o)] = true
		require.Contains(t, section, "\n.SS "+nameOf(o)+"\n")
	}
}

// The READMEs have some of the keys, the same in both languages, and all of them exist.
func TestReadmesNameKeysThatThereAre(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{"peer": true, "reuse": true} // kinds of sources, named beside them
	for _, a := range answers() {
		for _, k := range keysOf(reflect.TypeOf(a.value), nil) {
			exists[k.path[strings.LastIndexByte(k.path, '.')+1:]] = true
			exists[k.path] = true
		}
	}
	english := keysInReadme(t, "../README.md")
	require.NotEmpty(t, english)
	for _, key := range english {
		require.True(t, exists[strings.TrimSuffix(key, "[]")], "README.md has the key %s, and no answer has it", key)
	}
	require.Equal(t, english, keysInReadme(t, "../README.zh.md"))
}

// keysInReadme are the words in the second column of the table in its JSON section.
func keysInReadme(t *testing.T, path string) (keys []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(b), "\n### `--json`")
	require.True(t, ok, path)
	section, _, _ = strings.Cut(section, "\n### ")
	for line := range strings.Lines(section) {
		row := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `hffs ") || len(row) != 2 {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			if m[1] != "where" { // the command
				keys = append(keys, m[1])
			}
		}
	}
	return keys
}

// asDescribed holds what a command has printed against the description: "described hffs
// ls REPO" in a script, after the command.
func asDescribed(ts *testscript.TestScript, _ bool, args []string) {
	name := strings.Join(args, " ")
	i := slices.IndexFunc(answers(), func(a answer) bool { return a.command == name })
	if i < 0 {
		ts.Fatalf("there is no answer of %q", name)
	}
	for _, p := range differences(answers()[i], ts.ReadFile("stdout")) {
		ts.Fatalf("%s --json: %s", name, p)
	}
}

// differences are those between an answer's description and what was printed.
func differences(a answer, printed string) []string {
	d := json.NewDecoder(strings.NewReader(printed))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return []string{"is no JSON: " + err.Error()}
	}
	if _, err := d.Token(); err != io.EOF || strings.Count(printed, "\n") != 1 {
		return []string{"is not one value on one line"}
	}
	c := comparison{keys: map[string]jsonKey{}}
	for _, k := range keysOf(reflect.TypeOf(a.value), nil) {
		c.keys[k.path] = k
	}
	c.object("", v)
	return c.problems
}

type comparison struct {
	keys     map[string]jsonKey
	problems []string
}

func (c *comparison) wrong(path, what string) { c.problems = append(c.problems, path+" "+what) }

func (c *comparison) object(at string, v any) {
	o, ok := v.(map[string]any)
	if !ok {
		c.wrong(at, fmt.Sprintf("is no object but %v", v))
		return
	}
	for name, value := range o {
		if k, ok := c.keys[at+"."+name]; ok {
			c.value(k.path, k.kind, value)
		} else {
			c.wrong(at+"."+name, "is not described")
		}
	}
	for path, k := range c.keys {
		name, below := strings.CutPrefix(path, at+".")
		if _, there := o[name]; below && !strings.ContainsAny(name, ".[") && !there && !k.may {
			c.wrong(path, "is not there")
		}
	}
}

func (c *comparison) value(path, kind string, v any) {
	kind, nullable := strings.CutSuffix(kind, " or null")
	if v == nil && nullable || kind == "any value" {
		return
	}
	if of, ok := strings.CutPrefix(kind, "array of "); ok {
		list, ok := v.([]any)
		if !ok {
			c.wrong(path, fmt.Sprintf("is no array but %v", v))
		}
		for _, e := range list {
			c.value(path+"[]", of, e)
		}
		return
	}
	if kind == "object" {
		c.object(path, v)
	} else if !isOf(kind, v) {
		c.wrong(path, fmt.Sprintf("is no %s but %v", kind, v))
	}
}

func isOf(kind string, v any) (ok bool) {
	var err error
	switch kind {
	case "string":
		_, ok = v.(string)
	case "boolean":
		_, ok = v.(bool)
	case "number":
		_, ok = v.(json.Number)
	case "integer":
		n, number := v.(json.Number)
		_, err = n.Int64()
		ok = number && err == nil
	case "time":
		s, text := v.(string)
		_, err = time.Parse(time.RFC3339, s)
		ok = text && err == nil
	}
	return ok
}

// The comparison sees what scripts would stumble over.
func TestDifferences(t *testing.T) {
	t.Parallel()
	a := answer{value: control.Peers{}}
	for name, c := range map[string]struct{ printed, want string }{
		"as described": {`{"node":"","peers":[]}`, ""},
		"null":         {`{"node":"","peers":null}`, ".peers is no array but <nil>"},
		"lacking":      {`{"peers":[]}`, ".node is not there"},
		"unknown":      {`{"node":"","peers":[],"more":1}`, ".more is not described"},
		"type":         {`{"node":7,"peers":[]}`, ".node is no string but 7"},
		"element":      {`{"node":"","peers":["x"]}`, ".peers[] is no object but x"},
		"two":          {`{"node":"","peers":[]} {}`, "is not one value on one line"},
		"words":        {"hffs: hello", "is no JSON: invalid character 'h' looking for beginning of value"},
	} {
		var want []string
		if c.want != "" {
			want = []string{c.want}
		}
		require.Equal(t, want, differences(a, c.printed+"\n"), name)
	}
}
