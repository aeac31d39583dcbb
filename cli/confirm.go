package cli

import (
	"context"
	"fmt"
	"strings"

	"hffs/cli/control"
)

// confirm asks the user, and is an error unless the answer is yes. Where nobody
// answers, --yes has to do it.
func (a *app) confirm(ctx context.Context, question string) error {
	fmt.Fprintf(a.ui.Err, "%s [y/N] ", question)
	answer, err := typedLine(ctx, a.ui.In)
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	if err != nil {
		fmt.Fprintln(a.ui.Err)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && answer == "":
		return usage("nobody is there to answer", "--yes does not ask, --dry-run only tells")
	}
	return &control.Error{Code: control.CodeStopped, Message: "nothing was removed", Hint: "--dry-run only tells"}
}
