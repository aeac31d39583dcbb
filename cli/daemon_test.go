package cli

import (
	"context"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hffs/cli/node"
)

// endNodes ends what a script has left running in the background, in whatever state
// folder below its own folder.
func endNodes(e *testscript.Env) {
	_ = filepath.WalkDir(e.WorkDir, func(at string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "control.json" {
			for _, l := range node.Lives(filepath.Dir(at)) {
				_, _ = l.End(context.Background(), time.Second)
			}
		}
		return nil
	})
}
