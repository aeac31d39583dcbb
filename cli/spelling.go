package cli

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cache/ref"
)

// spelling is a repo in one of the ways in which people write one; what it does not
// say is empty.
type spelling struct {
	repo, repoType, revision string
	file                     string // or a pattern: all of a folder
}

// spelled takes a repo's name apart: org/name, org/name@revision, datasets/org/name, or
// what a browser's address line has, such as
// https://huggingface.co/org/name/blob/main/config.json, and hf:// paths as fsspec has
// them. Whatever it does not know stays as it is, to be refused as a repo's name.
func spelled(arg string) spelling {
	if path, ok := strings.CutPrefix(arg, "hf://"); ok {
		return ofUnit(strings.Trim(path, "/"))
	}
	if _, path, ok := strings.Cut(arg, "://"); ok {
		_, path, _ = strings.Cut(path, "/") // any host: mirrors have addresses as well
		path, _, _ = strings.Cut(path, "?")
		path, _, _ = strings.Cut(path, "#")
		return ofPath(arg, strings.Trim(path, "/"))
	}
	s := atRevision(arg)
	s.repo, s.repoType = withoutType(s.repo)
	return s
}

// atRevision takes the revision off a repo's name.
func atRevision(name string) spelling {
	if repo, revision, _ := strings.Cut(name, "@"); revision != "" {
		return spelling{repo: repo, revision: revision}
	}
	return spelling{repo: name}
}

// withoutType takes the type off a repo's name, where it has one.
func withoutType(name string) (rest, repoType string) {
	kind, rest, more := strings.Cut(name, "/")
	if !more {
		return name, ""
	}
	switch kind {
	case "model", "models", "dataset", "datasets", "space", "spaces":
		return rest, strings.TrimSuffix(kind, "s")
	}
	return name, ""
}

// ofUnit takes a path of fsspec apart: [type/]org/name[@revision][/file].
func ofUnit(path string) (s spelling) {
	path, repoType := withoutType(path)
	parts := strings.SplitN(path, "/", 3)
	s = atRevision(strings.Join(parts[:min(len(parts), 2)], "/"))
	if s.repoType = repoType; len(parts) < 3 {
		return s
	}
	s.file = parts[2]
	if s.revision == "refs" { // which has more than one part itself: refs/pr/1, refs/convert/parquet
		deeper := strings.SplitN(s.file, "/", 3)
		s.revision = strings.Join(append([]string{"refs"}, deeper[:min(len(deeper), 2)]...), "/")
		s.file = strings.Join(deeper[min(len(deeper), 2):], "/")
	}
	return s
}

// ofPath takes the path of a page's address apart.
func ofPath(arg, path string) (s spelling) {
	path, repoType := withoutType(path)
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if plain, err := url.PathUnescape(p); err == nil {
			parts[i] = plain
		}
	}
	name := min(len(parts), 2)
	if len(parts) > 1 && isView(parts[1]) && (len(parts) < 3 || !isView(parts[2])) {
		name = 1 // a repo of old, without an owner
	}
	s = spelling{repo: strings.Join(parts[:name], "/"), repoType: repoType}
	rest := parts[name:]
	switch {
	case len(rest) == 0:
	case len(rest) > 1 && isView(rest[0]):
		s.revision, s.file = rest[1], strings.Join(rest[2:], "/")
		if rest[0] == "tree" && s.file != "" {
			s.file += "/"
		}
	default:
		s.repo = arg
	}
	return s
}

// isView tells the part of an address that stands before a revision.
func isView(part string) bool {
	return slices.Contains([]string{"tree", "blob", "resolve", "raw"}, part)
}

// spell takes a repo that was given to a command apart. What it says of the repo's type
// and revision is as good as those flags.
func spell(c *cli.Context, arg string) (repo, file string, err error) {
	s := spelled(arg)
	for flag, value := range map[string]string{"repo-type": s.repoType, "revision": s.revision} {
		known := slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == flag })
		if value == "" || !known || c.String(flag) == value {
			continue
		}
		if c.IsSet(flag) {
			return "", "", usage(fmt.Sprintf("%q says %s, and --%s says %s", arg, value, flag, c.String(flag)), "leave one of them out")
		}
		if err := c.Set(flag, value); err != nil {
			return "", "", usage(err.Error(), hintFor(c))
		}
	}
	return s.repo, s.file, nil
}

// named are the repo and the files that a command line names, each by its flag or as an
// argument.
func named(c *cli.Context) (all []string, err error) {
	args := c.Args().Slice()
	for at, flag := range []string{"repo-id", "file"} {
		if !c.IsSet(flag) {
			continue
		}
		if c.String(flag) == "" {
			return nil, usage("--"+flag+" is empty", "leave it out, or name one")
		}
		if len(args) < at {
			return nil, usage("there is a file and no repo", hintFor(c))
		}
		args = slices.Insert(args, at, c.String(flag))
	}
	if len(args) == 0 {
		return nil, nil
	}
	if slices.Contains(args, "") {
		return nil, usage("an argument is empty", hintFor(c))
	}
	repo, file, err := spell(c, args[0])
	if err != nil {
		return nil, err
	}
	all = []string{repo}
	if file != "" {
		all = append(all, file)
	}
	return append(all, args[1:]...), nil
}

// repoFlags say which repo and file is meant, for who prefers flags to arguments.
func repoFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "repo-id", Aliases: []string{"repo_id"}, Usage: "`REPO`, in place of the argument"},
		&cli.StringFlag{Name: "file", Usage: "`FILE`, in place of the argument"},
		&cli.StringFlag{Name: "repo-type", Value: string(ref.Model), Usage: "`TYPE` of the repo: model, dataset or space"},
	}
}
