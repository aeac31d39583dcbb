package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func (a *app) manCommand() *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "print the manual page, for man(1)",
		Description: "Example: hffs man > /usr/local/share/man/man1/hffs.1" + exits(helpUsage, helpOther),
		Action: func(c *cli.Context) error {
			if err := noArgs(c, "man"); err != nil {
				return err
			}
			_, err := io.WriteString(a.ui.Out, manual(a.commands()))
			return err
		},
	}
}

// page is a manual page in roff. The library can write one by way of Markdown, which
// takes the lines of examples and lists apart, and stars in patterns for emphasis.
type page struct{ strings.Builder }

// manual is the page of the whole program. It has no date: the same program has the
// same page.
func manual(program *cli.App) string {
	p := &page{}
	fmt.Fprintf(p, ".TH HFFS 1 \"\" \"hffs %s\" \"\"\n", quoted(program.Version))
	p.section("NAME")
	p.text("hffs - " + program.Usage)
	p.section("SYNOPSIS")
	p.text("hffs [-v] COMMAND [FLAGS] [ARGUMENTS]")
	p.section("DESCRIPTION")
	p.text(program.Description)
	p.section("OPTIONS")
	p.flags(append(program.Flags, cli.VersionFlag, cli.HelpFlag), "")
	p.section("COMMANDS")
	eachCommand(program.Commands, "hffs", p.command)
	p.answers(answers())
	p.section("ENVIRONMENT")
	p.text("Every flag has a variable, such as HFFS_LIMIT_DOWN for --limit-down; the flag itself counts\n" +
		"first, then the variable, then the settings file.\n\n" +
		"HFFS_HOME is where hffs keeps its state: the folder hffs beside the cache, or, where that\n" +
		"cannot be written, one in ~/.cache/hffs. HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN,\n" +
		"HF_HUB_OFFLINE, HF_HUB_DISABLE_XET, HF_HUB_DISABLE_SYMLINKS mean what they mean to\n" +
		"huggingface_hub. NO_COLOR keeps colours away.")
	p.section("FILES")
	p.text("hffs.toml in HFFS_HOME: settings; \"hffs config path\" prints the path, \"hffs config init\"\n" +
		"writes one with comments.")
	return p.String()
}

func (p *page) command(name string, c *cli.Command) {
	if c.Hidden || strings.HasPrefix(name, "hffs debug ") {
		return
	}
	fmt.Fprintf(p, ".SS %s\n", roff(strings.TrimSpace(name+" "+c.ArgsUsage)))
	p.text(strings.TrimSpace(sentence(c.Usage) + "\n\n" + c.Description))
	p.flags(c.Flags, name)
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

func (p *page) section(name string) { fmt.Fprintf(p, ".SH %s\n", name) }

// text keeps its lines as they are, but for the long one of the exit codes: some are
// examples and lists.
func (p *page) text(s string) {
	p.WriteString(".nf\n")
	for line := range strings.SplitSeq(s, "\n") {
		if line = roff(line); strings.HasPrefix(line, "Exit codes:") {
			line = ".fi\n" + line + "\n.nf"
		}
		p.WriteString(line + "\n")
	}
	p.WriteString(".fi\n")
}

// flags lists those that are meant to be seen, with their variables where command
// names one.
func (p *page) flags(all []cli.Flag, command string) {
	for _, f := range all {
		d, ok := f.(cli.DocGenerationFlag)
		if v, seen := f.(cli.VisibleFlag); !ok || !seen || !v.IsVisible() {
			continue
		}
		var names []string
		for _, n := range f.Names() {
			names = append(names, strings.Repeat("-", min(2, len(n)))+n)
		}
		term := strings.Join(names, ", ")
		if d.TakesValue() {
			term += " " + placeholder(d.GetUsage())
		}
		text := sentence(described(f))
		if command != "" {
			text += " Variable: " + variableOf(command, f.Names()[0]) + "."
		}
		fmt.Fprintf(p, ".TP\n.B %s\n%s\n", roff(term), roff(text))
	}
}

// placeholder is the word of a flag's usage that stands for its value.
func placeholder(usage string) string {
	if _, rest, ok := strings.Cut(usage, "`"); ok {
		word, _, _ := strings.Cut(rest, "`")
		return word
	}
	return "VALUE"
}

// roff is a line of text that roff takes for text, with hyphens that can be copied.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "~", `\(ti`, "^", `\(ha`, "…", "...").Replace(line)
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	return line
}

func quoted(s string) string { return strings.ReplaceAll(roff(s), `"`, `\(dq`) }
