package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) lsCommand() *cli.Command {
	return &cli.Command{
		Name:      "ls",
		Usage:     "list the repos in the cache, the files of a repo, or tell where a file lies",
		ArgsUsage: "[REPO [FILE]]",
		Description: "Without arguments it lists the repos; SHARED says whether the running node offers them to\n" +
			"others. With a repo it lists the files of it that are here, with a file its absolute path,\n" +
			"for scripts: that of --revision, else of main, else of what came last. No node is needed,\n" +
			"and the Hub is not asked.\n\n" +
			"Example: hffs ls openai-community/gpt2 config.json" +
			exits(helpUsage, "3 nothing of that name is here", helpOther),
		Flags:  append(namedFlags(), &cli.StringFlag{Name: "revision", Usage: "branch, tag or commit `REV`", DefaultText: "all; for a file: main"}),
		Action: a.ls,
	}
}

func (a *app) ls(c *cli.Context) error {
	id, file, err := namedBy(c)
	if err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	if id == "" {
		if a.given(c, "revision") {
			return usage("there is a revision and no repo", hintFor(c))
		}
		return a.lsRepos(c, cfg)
	}
	repo, err := repoOf(c, id)
	if err != nil {
		return err
	}
	s, ok := cache.StoredOf(cfg.Place.Hub, repo)
	if !ok {
		return node.NotStored(cfg.Place.Hub, repo)
	}
	if file != "" {
		return a.lsFile(c, cfg.Place.Hub, s, file)
	}
	if rev := c.String("revision"); rev != "" {
		r, ok := s.At(rev)
		if !ok {
			return node.NoRevision(s, rev)
		}
		s.Revisions = []cache.StoredRevision{r}
	}
	return a.lsFiles(c, cfg.Place.Hub, s)
}

// repoList is what `hffs ls --json` prints.
type repoList struct {
	Repos []repoJSON `json:"repos" doc:"the repos in the cache, by type and name"`
}

// repoJSON is a repo as `hffs ls --json` prints it.
type repoJSON struct {
	Repo      string         `json:"repo" doc:"the repo, without its type"`
	RepoType  string         `json:"repo_type" doc:"model, dataset or space"`
	Revisions []revisionJSON `json:"revisions" doc:"those that are here; the one that changed last comes first"`
	Files     int            `json:"files" doc:"how many paths, each counted once"`
	Bytes     int64          `json:"bytes" doc:"on the disk, with what was fetched in part"`
	Changed   time.Time      `json:"changed" doc:"when the last of its files came; the year 1 where nothing came yet"`
	Shared    *bool          `json:"shared" doc:"whether the running node offers it to others; null where none runs"`
}

type revisionJSON struct {
	Commit string   `json:"commit" doc:"40 hex digits"`
	Refs   []string `json:"refs" doc:"branches and tags that stand for it"`
	Files  int      `json:"files" doc:"how many files are here at it"`
}

func (a *app) lsRepos(c *cli.Context, cfg node.Config) error {
	shared := a.shared(c.Context, cfg)
	repos := []repoJSON{}
	for _, s := range cache.Stored(cfg.Place.Hub) {
		repos = append(repos, describe(s, shared))
	}
	if c.Bool("json") {
		return printJSON(a.ui, repoList{repos})
	}
	if len(repos) == 0 {
		a.say("nothing is in the cache at " + cfg.Place.Hub)
		return nil
	}
	var rows [][]string
	for _, r := range repos {
		rows = append(rows, []string{r.RepoType, r.Repo, revisions(r.Revisions), fmt.Sprint(r.Files), ui.Size(r.Bytes), ago(r.Changed), yesOrNo(r.Shared)})
	}
	ui.Table(a.ui.Out, []string{"TYPE", "REPO", "REVISIONS", "FILES", "SIZE", "CHANGED", "SHARED"}, rows)
	return nil
}

// shared are the repos that the running node offers to others; nil when none runs.
func (a *app) shared(ctx context.Context, cfg node.Config) map[control.NamedRepo]bool {
	p := node.Running(cfg.Place.State, cfg.Place.Hub)
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := control.NewClient(p.Addr, p.Key).Shared(ctx)
	if err != nil {
		return nil
	}
	all := map[control.NamedRepo]bool{}
	for _, r := range s.Repos {
		all[r] = true
	}
	return all
}

func describe(s cache.StoredRepo, shared map[control.NamedRepo]bool) repoJSON {
	r := repoJSON{
		Repo: s.Repo.ID, RepoType: string(s.Repo.Type), Revisions: []revisionJSON{}, Bytes: s.Bytes, Changed: s.Changed.UTC(),
	}
	paths := map[string]bool{}
	for _, rev := range s.Revisions {
		r.Revisions = append(r.Revisions, revisionJSON{string(rev.Commit), append([]string{}, rev.Refs...), len(rev.Files)})
		for _, f := range rev.Files {
			paths[f.Path] = true
		}
	}
	r.Files = len(paths)
	if shared != nil {
		is := shared[control.NamedRepo{Repo: r.Repo, RepoType: r.RepoType}]
		r.Shared = &is
	}
	return r
}

// revisions names a few, by their branches and tags where they have some.
func revisions(all []revisionJSON) string {
	const most = 3
	var names []string
	for _, r := range all {
		names = append(names, revisionLabel(r.Commit, r.Refs))
	}
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("+%d", len(names)-most))
	}
	return strings.Join(names, ", ")
}

func revisionLabel(commit string, refs []string) string {
	if len(refs) > 0 {
		return strings.Join(refs, ", ")
	}
	return commit[:min(len(commit), 12)]
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return humanize.Time(t)
}

func yesOrNo(b *bool) string {
	switch {
	case b == nil:
		return "-"
	case *b:
		return "yes"
	}
	return "no"
}

// fileList is what `hffs ls REPO --json` prints.
type fileList struct {
	Repo     string     `json:"repo" doc:"the repo, without its type"`
	RepoType string     `json:"repo_type" doc:"model, dataset or space"`
	Bytes    int64      `json:"bytes" doc:"of the repo on the disk, with what was fetched in part"`
	Files    []fileJSON `json:"files" doc:"the files that are here, by path; once for each content"`
}

// fileJSON is a file as `hffs ls REPO --json` prints it.
type fileJSON struct {
	File      string         `json:"file" doc:"the path in the repo"`
	Size      int64          `json:"size" doc:"bytes; 0 where it is missing"`
	Blob      string         `json:"blob" doc:"the name of its blob in the cache, which is its ETag; empty where the file itself is the content"`
	Missing   bool           `json:"missing" doc:"true where its blob is gone"`
	Path      string         `json:"path" doc:"where it lies, an absolute path, at the first of the revisions"`
	Revisions []revisionJSON `json:"revisions" doc:"those that have it with this content"`
}

func (a *app) lsFiles(c *cli.Context, dir string, s cache.StoredRepo) error {
	files := filesOf(dir, s)
	if c.Bool("json") {
		return printJSON(a.ui, fileList{s.Repo.ID, string(s.Repo.Type), s.Bytes, files})
	}
	if len(files) == 0 {
		a.say(fmt.Sprintf("no file of %s is here", s.Repo))
		return nil
	}
	var rows [][]string
	for _, f := range files {
		size, blob := ui.Size(f.Size), f.Blob[:min(len(f.Blob), 12)]
		if f.Missing {
			size = "missing"
		}
		rows = append(rows, []string{f.File, size, revisions(f.Revisions), blob})
	}
	ui.Table(a.ui.Out, []string{"FILE", "SIZE", "REVISIONS", "BLOB"}, rows)
	return nil
}

// filesOf lists each file once for each content that it has.
func filesOf(dir string, s cache.StoredRepo) []fileJSON {
	type content struct{ path, blob string }
	at := map[content]int{}
	files := []fileJSON{}
	for _, r := range s.Revisions {
		rev := revisionJSON{string(r.Commit), append([]string{}, r.Refs...), len(r.Files)}
		for _, f := range r.Files {
			key := content{f.Path, f.Blob}
			if i, ok := at[key]; ok && f.Blob != "" {
				files[i].Revisions = append(files[i].Revisions, rev)
				continue
			}
			at[key] = len(files)
			files = append(files, fileJSON{f.Path, f.Size, f.Blob, f.Missing, s.PathIn(dir, r, f), []revisionJSON{rev}})
		}
	}
	slices.SortStableFunc(files, func(x, y fileJSON) int { return strings.Compare(x.File, y.File) })
	return files
}

// lsFile prints where a file lies: at the revision that was asked for, else at main where
// that has it, else at what came last.
func (a *app) lsFile(c *cli.Context, dir string, s cache.StoredRepo, file string) error {
	revision, among := c.String("revision"), s.Revisions
	if r, ok := s.At(cmp.Or(revision, "main")); ok && revision != "" {
		among = []cache.StoredRevision{r}
	} else if ok {
		among = append([]cache.StoredRevision{r}, among...)
	} else if revision != "" {
		return node.NoRevision(s, revision)
	}
	for _, r := range among {
		f, ok := r.File(file)
		if !ok || f.Missing {
			continue
		}
		path := s.PathIn(dir, r, f)
		if c.Bool("json") {
			rev := revisionJSON{string(r.Commit), append([]string{}, r.Refs...), len(r.Files)}
			return printJSON(a.ui, fileJSON{f.Path, f.Size, f.Blob, f.Missing, path, []revisionJSON{rev}})
		}
		fmt.Fprintln(a.ui.Out, path)
		return nil
	}
	return node.NoFile(s, file, revision)
}

// repoNamed is what people write to name a repo on a command line.
func repoNamed(repo ref.Repo) string {
	if repo.Type == ref.Model {
		return repo.ID
	}
	return string(repo.Type) + " " + repo.ID
}
