package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"

	"hffs/cli/node"
	"hffs/cli/ui"
)

// The settings file is TOML: the names of flags, and their values. Nothing needs one.

// settingsIn is the settings file of a state folder.
func settingsIn(state string) string { return filepath.Join(state, node.SettingsName) }

// settingsFile is what a settings file says.
type settingsFile struct {
	path string
	all  map[string]fileSetting
}

type fileSetting struct {
	line   int
	values []string
}

// lastingFlags are those that may stand in a settings file, but for "verbose".
func lastingFlags() []cli.Flag {
	all := slices.DeleteFunc(nodeLifeFlags(), func(f cli.Flag) bool {
		v, ok := f.(cli.VisibleFlag)
		return ok && !v.IsVisible()
	})
	return append(all,
		&cli.BoolFlag{Name: "quiet", Usage: "no progress"},
		&cli.BoolFlag{Name: "hard-links", Usage: "with get --local-dir: let large files be hard links of the cache's; write into neither then"},
	)
}

func settable() []cli.Flag { return append(lastingFlags(), verboseSetting()) }

// readSettings reads a settings file; one that is not there says nothing.
func readSettings(path string) (settingsFile, error) {
	file := settingsFile{path: path, all: map[string]fileSetting{}}
	text, err := settingsBytes(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return file, nil
	case err != nil:
		return file, err
	}
	values := map[string]any{}
	if err := toml.Unmarshal(text, &values); err != nil {
		return file, notTOML(path, err)
	}
	// Nothing is expected, so all keys are unknown, and told with their lines.
	strict := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields()
	missing, ok := errors.AsType[*toml.StrictMissingError](strict.Decode(&struct{}{}))
	if !ok {
		return file, nil // it is empty
	}
	for _, e := range missing.Errors {
		line, _ := e.Position()
		if err := file.take(e.Key()[0], line, values); err != nil {
			return file, err
		}
	}
	return file, nil
}

// maxSettings is far more than all settings take, in bytes.
const maxSettings = 1 << 20

// settingsBytes is the text of a settings file. It looks before it opens, as a named
// pipe would wait for a writer.
func settingsBytes(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return nil, usage(path+" is not a plain file", "the settings are a file of text; \"hffs config init\" writes one once this is moved away")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the settings: %w", err)
	case len(text) > maxSettings:
		return nil, usage(fmt.Sprintf("%s is longer than %s, which no settings are", path, ui.Size(maxSettings)), "is it another file by mistake?")
	}
	return asUTF8(path, text)
}

// asUTF8 takes away the mark that editors of Windows put before a text, which TOML does
// not know, and tells a text in UTF-16 for what it is: what PowerShell writes with ">".
func asUTF8(path string, text []byte) ([]byte, error) {
	utf16 := bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))
	if utf16 || bytes.IndexByte(text, 0) >= 0 {
		return nil, usage(path+" is UTF-16, not UTF-8", "save it as UTF-8: the editor's \"Save as\" asks for the encoding; in PowerShell, Set-Content -Encoding utf8")
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil
}

func notTOML(path string, err error) error {
	where, why := path, strings.TrimPrefix(err.Error(), "toml: ")
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := e.Position()
		where = fmt.Sprintf("%s:%d", path, line)
	}
	return usage(where+": "+why, "a setting is a line such as: swarm = \"lab3\"")
}

// take takes one setting over.
func (s settingsFile) take(key string, line int, values map[string]any) error {
	from := origin{path: s.path, line: line}
	f := flagOf(settable(), key)
	if f == nil {
		hint := "\"hffs config\" lists the settings"
		if near := nearFlag(settable(), key); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
		}
		return usage(fmt.Sprintf("%s: there is no setting %q", from, key), hint)
	}
	texts, err := textsOf(f, values[key])
	if err != nil {
		return usage(fmt.Sprintf("%s: %s %v", from, key, err), "such as: "+key+" = "+example(f))
	}
	for _, text := range texts {
		if _, err := checked(f, text); err != nil {
			return badSetting(from, key, text, err)
		}
	}
	if key == "log-file" && !filepath.IsAbs(texts[0]) {
		texts[0] = filepath.Join(filepath.Dir(s.path), texts[0])
	}
	s.all[key] = fileSetting{line, texts}
	return nil
}

// textsOf is a value of the file as it would be on a command line, if it is of the kind
// that the flag takes.
func textsOf(f cli.Flag, value any) ([]string, error) {
	switch f.(type) {
	case *cli.BoolFlag:
		if b, ok := value.(bool); ok {
			return []string{fmt.Sprint(b)}, nil
		}
		return nil, errors.New("is true or false, without quotes")
	case *cli.IntFlag:
		if n, ok := value.(int64); ok {
			return []string{fmt.Sprint(n)}, nil
		}
		return nil, errors.New("is a number, without quotes")
	case *cli.StringSliceFlag:
		return texts(value)
	}
	if s, ok := value.(string); ok && s != "" {
		return []string{s}, nil
	}
	return nil, errors.New("is a text, in quotes")
}

func texts(value any) (all []string, err error) {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, v := range list {
		s, ok := v.(string)
		if !ok || s == "" {
			return nil, errors.New("is a list of texts, each in quotes")
		}
		all = append(all, s)
	}
	return all, nil
}

// example is a value of a setting as it stands in the file.
func example(f cli.Flag) string {
	known := map[string]string{
		"port": "7766", "api-port": "7768", "verbose": "1", "bind": `"192.168.1.7"`, "name": `"desk-a"`, "swarm": `"lab3"`,
		"log-file": `"hffs.log"`, "peer": `["192.168.7.20", "lab-server:7766"]`,
		"limit-down": `"80Mbit/s"`, "limit-up": `"20MB/s"`, "limit-hub": `"10MB/s"`,
	}
	if e, ok := known[f.Names()[0]]; ok {
		return e
	}
	return "true"
}

// settingsText is a settings file that says nothing yet, and what it could say.
func settingsText() string {
	var b strings.Builder
	b.WriteString("# What hffs is to do each time, unless the command line or a variable says otherwise:\n" +
		"# the command line counts first, then a variable (HFFS_LIMIT_UP for limit-up), then this\n" +
		"# file. A running node takes changes up when it starts again. Nothing needs to be set;\n" +
		"# take away a \"#\" to set something. \"hffs config\" shows what counts.\n")
	for _, f := range settable() {
		fmt.Fprintf(&b, "\n# %s\n# %s = %s\n", described(f), f.Names()[0], example(f))
	}
	return b.String()
}

// described is what a flag is for, with its default.
func described(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	text := strings.ReplaceAll(d.GetUsage(), "`", "")
	if def := d.GetDefaultText(); def != "" && def != "false" {
		text += " (default: " + def + ")"
	}
	return text
}
