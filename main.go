// Command hffs lets the machines of one network share Hugging Face files.
package main

import (
	"os"

	"hffs/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
