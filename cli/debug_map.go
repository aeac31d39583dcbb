package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cache/chunk"
	"hffs/cli/control"
)

func (a *app) debugMapCommand() *cli.Command {
	return &cli.Command{
		Name:      "map",
		Usage:     "tell what a file is made of: its chunks and Xet hashes",
		ArgsUsage: "FILE",
		Description: "Cuts FILE into content-defined chunks and prints the length and hash of each, the hash\n" +
			"that the Hub announces for such a file, and that of a xorb with all of its chunks.\n\n" +
			"Example: hffs debug map model.safetensors --json" +
			exits(helpUsage, helpStopped, helpOther),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "rule", Value: string(chunk.Current), Usage: "`RULE` to cut by: current or legacy"},
			&cli.BoolFlag{Name: "json", Usage: "print the result as JSON"},
		},
		Action: a.debugMap,
	}
}

func (a *app) debugMap(c *cli.Context) error {
	if c.NArg() != 1 {
		return usage(fmt.Sprintf("hffs debug map takes one file, and got %d", c.NArg()), "for example: hffs debug map model.safetensors")
	}
	rule, err := chunk.ParseRule(c.String("rule"))
	if err != nil {
		return err
	}
	m, err := mapFile(c.Context, c.Args().First(), rule)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.ui.Out)
	if c.Bool("json") {
		writeMapJSON(out, rule, m)
	} else {
		writeMapTable(out, rule, m)
	}
	return out.Flush()
}

func mapFile(ctx context.Context, name string, rule chunk.Rule) (chunk.Map, error) {
	f, size, err := openRegular(name)
	if err != nil {
		return chunk.Map{}, err
	}
	defer f.Close()
	maps, err := chunk.Scan(ctx, f, size, chunk.ScanOptions{}, rule)
	switch {
	case stopped(ctx, err):
		return chunk.Map{}, &control.Error{Code: control.CodeStopped, Message: "stopped"}
	case err != nil:
		return chunk.Map{}, fmt.Errorf("map %s: %w", name, err)
	}
	return maps[0], nil
}

// openRegular looks before it opens: a named pipe would wait for a writer.
func openRegular(name string) (*os.File, int64, error) {
	hint := "name a file on this machine; \"hffs get\" prints the path of one from the Hub"
	fi, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, usage(fmt.Sprintf("there is no file %q", name), hint)
	case err != nil:
		return nil, 0, usage(err.Error(), hint)
	case fi.IsDir():
		return nil, 0, usage(fmt.Sprintf("%q is a folder", name), hint)
	case !fi.Mode().IsRegular():
		return nil, 0, usage(fmt.Sprintf("%q is not a regular file", name), hint)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, usage(err.Error(), "it must be readable")
	}
	return f, fi.Size(), nil
}

// writeMapJSON writes the chunks one by one: a large file has many.
func writeMapJSON(w io.Writer, rule chunk.Rule, m chunk.Map) {
	fmt.Fprintf(w, `{"rule":"%s","size":%d,"chunks":[`, rule, m.Size())
	for i := range m.Len() {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `[%d,"%s"]`, m.Length(i), m.Hash(i))
	}
	fmt.Fprintf(w, "],\"file_hash\":\"%s\",\"xorb_hash\":\"%s\"}\n", m.FileHash(), m.XorbHash())
}

func writeMapTable(w io.Writer, rule chunk.Rule, m chunk.Map) {
	width := max(len("OFFSET"), len(fmt.Sprint(m.Size())))
	fmt.Fprintf(w, "%*s  LENGTH  HASH\n", width, "OFFSET")
	for i := range m.Len() {
		fmt.Fprintf(w, "%*d  %6d  %s\n", width, m.Offset(i), m.Length(i), m.Hash(i))
	}
	fmt.Fprintf(w, "%s\n", strings.Repeat("-", width+2+6+2+64))
	fmt.Fprintf(w, "rule       %s\nsize       %d\nchunks     %d\nfile hash  %s\nxorb hash  %s\n", rule, m.Size(), m.Len(), m.FileHash(), m.XorbHash())
}
