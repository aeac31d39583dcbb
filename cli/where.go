package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/ui"
)

func (a *app) whereCommand() *cli.Command {
	return &cli.Command{
		Name:      "where",
		Usage:     "tell who holds a file",
		ArgsUsage: "REPO FILE",
		Description: "Lists this machine, the peers that have the file or part of it, and whether the Hub\n" +
			"answers for it.\n\n" +
			"Example: hffs where openai-community/gpt2 model.safetensors" +
			exits("0 also means that somebody holds it", helpUsage, "3 nobody holds it, or there is no such file", helpAccess, helpNoSource, helpStorage, helpOther),
		Flags:  append(fileFlags(), nodeFlags()...),
		Action: a.where,
	}
}

func (a *app) where(c *cli.Context) error {
	ask, err := askOf(c)
	if err != nil {
		return err
	}
	engine, done, err := a.engine(c.Context, c, a.say)
	if err != nil {
		return err
	}
	defer done()
	w, err := engine.Where(c.Context, ask)
	if err != nil {
		return err
	}
	for _, line := range w.Warnings {
		a.say(line)
	}
	if c.Bool("json") {
		err = printJSON(a.ui, w)
	} else {
		a.printWhere(w)
	}
	if err == nil && w.Local == nil && len(w.Holders) == 0 && !w.Hub {
		return &control.Error{Code: codeQuiet}
	}
	return err
}

func (a *app) printWhere(w control.Where) {
	var rows [][]string
	if w.Local != nil {
		rows = append(rows, []string{"this machine", ui.Size(w.Size), "whole", *w.Local})
	}
	for _, h := range w.Holders {
		how := "whole"
		if !h.Complete {
			how = fmt.Sprintf("%d%%", 100*h.Bytes/max(1, w.Size))
		}
		rows = append(rows, []string{h.Node, ui.Size(h.Bytes), how, h.Addr})
	}
	if w.Hub {
		rows = append(rows, []string{"the Hub", ui.Size(w.Size), "whole", ""})
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.ui.Err, "hffs: nobody holds it: neither this machine nor a peer, and the Hub does not answer for it")
		return
	}
	ui.Table(a.ui.Out, []string{"WHO", "SIZE", "PART", "WHERE"}, rows)
}
