package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/dustin/go-humanize"

	"hffs/cache"
	"hffs/cache/disk"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/gossip"
	"hffs/transfer"
	"hffs/transfer/hub"
)

// Explain says in words for people what an error means and what to try.
func Explain(err error) *control.Error {
	var said *control.Error
	if errors.As(err, &said) {
		return said
	}
	for _, f := range []func(error) *control.Error{explainFetch, explainInput, explainStorage, explainHub} {
		if e := f(err); e != nil {
			return e
		}
	}
	return &control.Error{Code: control.CodeInternal, Message: err.Error()}
}

func explainInput(err error) *control.Error {
	var bad *ref.Error
	var port *PortError
	switch {
	case errors.Is(err, context.Canceled):
		return &control.Error{Code: control.CodeStopped, Message: "stopped", Hint: "what was fetched is kept; the same command goes on from there"}
	case errors.As(err, &bad):
		return &control.Error{Code: control.CodeUsage, Message: bad.Error(), Hint: hintFor(bad)}
	case errors.Is(err, gossip.ErrPortInUse):
		return &control.Error{Code: control.CodePort, Message: err.Error(), Hint: "is another node running? \"hffs status\" tells; or choose another port with --port"}
	case errors.As(err, &port):
		return &control.Error{Code: control.CodePort, Message: port.Error(), Hint: "is another node running? \"hffs status\" tells; or choose another port with --port or --api-port"}
	}
	return nil
}

func hintFor(e *ref.Error) string {
	switch e.What {
	case "repo":
		return "for example: hffs get openai-community/gpt2 config.json"
	case "file":
		return "name the file by its path inside the repo, such as onnx/model.onnx"
	case "repo type":
		return "--repo-type is model, dataset or space"
	case "revision":
		return "a revision is a branch, a tag, a commit, or refs/pr/N"
	}
	return ""
}

// hubHints is what to try for each way in which the Hub says no.
var hubHints = []struct {
	err  error
	code control.Code
	hint string
}{
	{hub.ErrEntryNotFound, control.CodeNotFound, "check the file's name, and the revision with --revision"},
	{hub.ErrRevisionNotFound, control.CodeNotFound, "check the branch, tag or commit; the default is main"},
	{hub.ErrGated, control.CodeAccess, "ask for access on the repo's page, then set HF_TOKEN or run \"hf auth login\""},
	{hub.ErrUnauthorized, control.CodeAccess, "the token may be expired: set another HF_TOKEN or run \"hf auth login\""},
	{hub.ErrDisabled, control.CodeAccess, "the Hub has closed this repo"},
	{hub.ErrRepoNotFound, control.CodeNotFound, "check its name and --repo-type; if it is private, set HF_TOKEN or run \"hf auth login\""},
	{hub.ErrRateLimited, control.CodeNoSource, "wait some minutes, or log in: with a token the Hub allows more"},
	{hub.ErrTooLarge, control.CodeInternal, "the repo has more files than hffs takes in at once; single files can still be had"},
	{hub.ErrOffline, control.CodeNoSource, "HF_HUB_OFFLINE is set, so only machines of this network were asked; is a node with this file running there?"},
	{hub.ErrUnreachable, control.CodeNoSource, "is the network up? HF_ENDPOINT may name mirrors, comma-separated; \"hffs status\" shows the peers"},
}

func explainHub(err error) *control.Error {
	kind := err
	if denied := hub.Denied(err); denied != nil {
		kind = denied
	}
	for _, h := range hubHints {
		if errors.Is(kind, h.err) {
			message := err.Error()
			if !strings.Contains(message, h.err.Error()) {
				message = h.err.Error() + ": " + message
			}
			return &control.Error{Code: h.code, Message: message, Hint: h.hint}
		}
	}
	return nil
}

func explainStorage(err error) *control.Error {
	var space *cache.SpaceError
	var locked *cache.NotWritableError
	var name *cache.NameError
	switch {
	case errors.As(err, &name):
		return &control.Error{Code: control.CodeStorage, Message: name.Error(), Hint: "the other files of the repo can be had: leave this one out with --exclude"}
	case errors.As(err, &space):
		return noRoom(space)
	case disk.IsNoSpace(err):
		return &control.Error{Code: control.CodeStorage, Message: "the disk is full: " + err.Error(), Hint: "free some room and run the same command again; what was fetched is kept"}
	case errors.As(err, &locked), errors.Is(err, fs.ErrPermission), disk.IsNotWritable(err):
		return &control.Error{Code: control.CodeStorage, Message: err.Error(), Hint: "the cache must be writable for you; HF_HUB_CACHE and HFFS_HOME choose other folders"}
	}
	return nil
}

// noRoom says what a disk lacks, and which folder could be on another one.
func noRoom(e *cache.SpaceError) *control.Error {
	message := fmt.Sprintf("the disk is too full: %s needed, %s free", humanize.Bytes(uint64(e.Need)), humanize.Bytes(uint64(max(0, e.Free))))
	how := "free some room (\"hf cache ls\" shows what takes it)"
	if e.Limited() {
		message = fmt.Sprintf("the disk takes no more files, though %s are free: the number of files that it can hold, or a quota, is used up", humanize.Bytes(uint64(e.Free)))
		how = "delete some files (\"df -i\" counts what the disk still takes, \"quota\" tells your limits)"
	}
	if e.Dir != "" {
		message += ", in " + e.Dir
	}
	variable := "HF_HUB_CACHE"
	if e.State {
		variable, how = "HFFS_HOME", strings.Replace(how, " (\"hf cache ls\" shows what takes it)", " there", 1)
	}
	return &control.Error{Code: control.CodeStorage, Message: message, Hint: how + ", or let " + variable + " point to another disk"}
}

func explainFetch(err error) *control.Error {
	var none *transfer.NoSourceError
	switch {
	case errors.As(err, &none) && errors.Is(err, hub.ErrOffline):
		return &control.Error{Code: control.CodeNoSource, Message: err.Error(), Hint: "HF_HUB_OFFLINE is set, so only machines of this network were asked; is a node with this file running there?"}
	case errors.As(err, &none):
		return &control.Error{Code: control.CodeNoSource, Message: err.Error(), Hint: "is a node with this file running? \"hffs where\" tells; what was fetched is kept"}
	case errors.Is(err, transfer.ErrMismatch), errors.Is(err, cache.ErrMismatch):
		return &control.Error{Code: control.CodeMismatch, Message: err.Error(), Hint: "nothing wrong was kept; try again, perhaps without a mirror in HF_ENDPOINT"}
	}
	return nil
}
