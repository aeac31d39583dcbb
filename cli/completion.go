package cli

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The code for the shells only asks hffs; complete.go has the answers.
//
//go:embed completion
var completionFiles embed.FS

var completionOf = map[string]string{"bash": "hffs.bash", "zsh": "hffs.zsh", "fish": "hffs.fish", "powershell": "hffs.ps1"}

func shells() []string { return slices.Sorted(maps.Keys(completionOf)) }

func (a *app) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what has a shell complete commands, flags, repos and files",
		ArgsUsage: "SHELL",
		Description: "SHELL is bash, zsh, fish or powershell. Repos and files are those in the cache, and those\n" +
			"that the running node knows in the swarm. To have it in each new shell:\n\n" +
			"  bash        echo 'source <(hffs completion bash)' >> ~/.bashrc\n" +
			"  zsh         echo 'source <(hffs completion zsh)' >> ~/.zshrc, behind compinit\n" +
			"  fish        hffs completion fish > ~/.config/fish/completions/hffs.fish\n" +
			"  powershell  add to $PROFILE: hffs completion powershell | Out-String | Invoke-Expression\n\n" +
			"Example: source <(hffs completion bash)" + exits(helpUsage, helpOther),
		Action: a.completion,
	}
}

func (a *app) completion(c *cli.Context) error {
	hint := "hffs completion takes one of " + strings.Join(shells(), ", ")
	if c.NArg() != 1 {
		return usage(fmt.Sprintf("hffs completion takes one shell, and got %d", c.NArg()), hint)
	}
	name, ok := completionOf[c.Args().First()]
	if !ok {
		return usage(fmt.Sprintf("there is no completion for %q", c.Args().First()), hint)
	}
	code, err := completionFiles.ReadFile("completion/" + name)
	if err != nil {
		return err
	}
	_, err = a.ui.Out.Write(code)
	return err
}
