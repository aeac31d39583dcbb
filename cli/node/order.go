package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/localdir"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/transfer"
	"hffs/transfer/hub"
	"hffs/transfer/pace"
	"hffs/transfer/source"
)

// An order is files of one or more repos. Of each repo the commit is found out once,
// and the list of its files; from then on a file is an entry and the Hub need not be
// asked what it is. All files of all repos are then fetched together, and last the
// repos' branches are written down: who finds a branch finds all that was ordered.

// phaseList is what is going on before there is anything to fetch.
const phaseList = "asking for the list of files"

// load is what an order wants of one repo.
type load struct {
	want   control.Want
	repo   ref.Repo
	commit ref.Commit
	stale  bool
	tree   []ref.Listed // all files of the commit, where the Hub has stated them to us
	files  []ref.Listed // those that are wanted
	notes  []transfer.Note
	failed []control.DoneFile // names that are not there
	err    error              // nothing can be had

	dir *localdir.Dir // nil: the cache alone
}

// Order brings many files into the cache, and into a folder where one is wanted.
func (e *engine) Order(ctx context.Context, o control.Order, watch func(control.OrderProgress)) (control.Done, error) {
	began := time.Now()
	if watch == nil {
		watch = func(control.OrderProgress) {}
	}
	if err := CheckOrder(o); err != nil {
		return control.Done{}, err
	}
	watch(control.OrderProgress{Phase: phaseList, Sources: []control.Source{}})
	loads, err := e.loads(ctx, o)
	if err != nil {
		return control.Done{}, err
	}
	for _, l := range loads {
		e.keepTree(l)
	}
	ctx = pace.Ask(ctx, pace.Rates{Down: max(0, o.LimitDown), Hub: max(0, o.LimitHub)})
	w := e.newWork(o, loads)
	w.skipPlaced(ctx)
	outcomes := e.transfer.GetAll(ctx, w.entries, func(m transfer.Many) {
		w.notes = m.Notes
		watch(w.progress(m))
	})
	w.place(ctx, outcomes)
	for _, l := range loads {
		e.finish(l, w)
	}
	if ctx.Err() != nil {
		return control.Done{}, ctx.Err()
	}
	done := w.done()
	done.Seconds = time.Since(began).Seconds()
	return done, nil
}

// CheckOrder refuses what no repo or folder can be called, before anything is done.
func CheckOrder(o control.Order) error {
	for _, w := range o.Wants {
		if _, err := repoOf(w); err != nil {
			return err
		}
		if err := ref.CheckRevision(w.Revision); err != nil {
			return err
		}
		for _, name := range slices.Concat(w.Include, w.Exclude) {
			if err := checkPattern(name); err != nil {
				return err
			}
		}
	}
	if o.LocalDir != "" && !filepath.IsAbs(o.LocalDir) {
		return fmt.Errorf("folder %s is not an absolute path", o.LocalDir)
	}
	return nil
}

func repoOf(w control.Want) (ref.Repo, error) {
	t, err := ref.ParseType(w.RepoType)
	if err != nil {
		return ref.Repo{}, err
	}
	return ref.ParseRepo(t, w.Repo)
}

// loads finds out what there is, of several repos at a time. It fails only where the
// folder does; of a repo that cannot be had that is said with it.
func (e *engine) loads(ctx context.Context, o control.Order) ([]*load, error) {
	const atOnce = 4
	places := make(chan struct{}, atOnce)
	all := make([]*load, len(o.Wants))
	var wait sync.WaitGroup
	for i, w := range o.Wants {
		repo, err := repoOf(w)
		if err != nil {
			return nil, err
		}
		all[i] = &load{want: w, repo: repo}
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			all[i].err = e.suggest(ctx, all[i].repo, e.load(ctx, all[i]))
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.LocalDir == "" {
		return all, nil
	}
	dir, err := localdir.Open(o.LocalDir)
	if err != nil {
		return nil, &control.Error{Code: control.CodeStorage, Message: err.Error(), Hint: "--local-dir must be a folder that you may write into"}
	}
	for _, l := range all {
		l.dir = dir
	}
	return all, nil
}

// load finds out a repo's commit and files, and meanwhile whether this user may read
// it: the list of a gated repo's files is told to everybody.
func (e *engine) load(ctx context.Context, l *load) error {
	may := make(chan error, 1)
	go func() {
		<-e.check(ctx, l.repo)
		may <- e.access.May(ctx, l.repo)
	}()
	var heard overheard
	err := e.list(hub.Listen(ctx, heard.add), l)
	l.notes = append(heard.take(), l.notes...)
	if no := <-may; no != nil && hub.IsRefusal(no) {
		return no
	}
	return err
}

// overheard is which endpoints were passed over. A question may go on behind an answer.
type overheard struct {
	mu    sync.Mutex // guards texts
	texts []string
}

func (o *overheard) add(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(o.texts, text) {
		o.texts = append(o.texts, text)
	}
}

func (o *overheard) take() (all []transfer.Note) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, text := range o.texts {
		all = append(all, transfer.Note{Text: text})
	}
	return all
}

func (e *engine) list(ctx context.Context, l *load) error {
	a, err := e.catalog.Commit(ctx, l.repo, l.want.Revision)
	if err != nil {
		return err
	}
	l.commit, l.stale = a.Commit, a.Stale
	for _, text := range a.Notes {
		l.notes = append(l.notes, transfer.Note{Text: text})
	}
	files, whole, err := e.catalog.List(ctx, l.repo, l.commit)
	if err != nil {
		return err
	}
	if stated, ok := e.cache.StatedTree(l.repo, l.commit); ok && whole {
		l.tree = stated
	}
	if !whole {
		l.notes = append(l.notes, transfer.Note{Text: fmt.Sprintf("the list of %s's files cannot be had; there may be more than what is known here", l.repo)})
	}
	l.choose(files)
	if e.cache.FoldsCase() {
		l.dropTwins()
	}
	return l.err
}

// choose picks the files that are wanted. Of names that differ only in their letters'
// case a disk may hold one.
func (l *load) choose(files []ref.Listed) {
	p := pick(l.want, files)
	l.files = p.files
	var unmatched []transfer.Note
	for _, s := range p.lacking {
		if IsPattern(s) {
			unmatched = append(unmatched, transfer.Note{Text: fmt.Sprintf("no file of %s matches %s", l.repo, s)})
			continue
		}
		l.failed = append(l.failed, control.DoneFile{File: s, Sources: []control.Source{}, Error: l.lacks(s, files)})
	}
	if len(l.files)+len(l.failed) == 0 && len(l.want.Include) > 0 {
		l.err = &control.Error{
			Code:    control.CodeNotFound,
			Message: fmt.Sprintf("no file of %s@%.8s matches %s", l.repo, l.commit, strings.Join(l.want.Include, " ")),
			Hint:    "\"hffs get " + l.repo.ID + " --dry-run\" lists the files that there are",
		}
		return
	}
	l.notes = append(l.notes, unmatched...)
}

// lacks says that there is no file of that name, and which one may have been meant.
func (l *load) lacks(name string, files []ref.Listed) *control.Error {
	said := Explain(fmt.Errorf("%s@%.8s has no file %s: %w", l.repo, l.commit, name, hub.ErrEntryNotFound))
	least, near := len(name), ""
	for _, f := range files {
		if far, ok := ref.Slip(name, f.Path); ok && far < least {
			least, near = far, f.Path
		}
	}
	if near != "" {
		said.Hint = "did you mean " + near + "? " + said.Hint
	}
	return said
}

// keepTree leaves the list where huggingface_hub finds it, before the files: by it
// that tool knows offline what is lacking.
func (e *engine) keepTree(l *load) {
	if l.err == nil && l.tree != nil && len(l.files) > 0 {
		l.err = e.cache.WriteTree(l.repo, l.commit, l.tree)
	}
}

// dropTwins leaves out names that this disk cannot tell from one before them.
func (l *load) dropTwins() {
	seen := map[string]string{}
	l.files = slices.DeleteFunc(l.files, func(f ref.Listed) bool {
		key := strings.ToLower(f.Path)
		first, twice := seen[key]
		if twice {
			l.notes = append(l.notes, transfer.Note{Text: fmt.Sprintf("%s is left out: this disk cannot tell it from %s", f.Path, first)})
			return true
		}
		seen[key] = f.Path
		return false
	})
}

// finish writes down the branch, once all that was wanted of it is here. What the
// cache had of it before stays found until then.
func (e *engine) finish(l *load, w *work) {
	if l.err != nil || l.stale || l.dir != nil || len(l.failed) > 0 || w.lacks(l) {
		return
	}
	if err := e.cache.SetRef(l.repo, l.want.Revision, l.commit); err != nil {
		e.log.Warn("revision was not recorded", "repo", l.repo, "revision", l.want.Revision, "err", err)
	}
}

// batchers are nodes that are asked outright what small files they hold.
func (e *engine) batchers(ctx context.Context, _ ref.Entry) (all []source.Batcher) {
	seen := map[string]bool{}
	for _, n := range append(e.nodes(ctx), e.passing.lately(time.Now())...) {
		if !seen[n.ID] {
			seen[n.ID] = true
			all = append(all, e.source(n))
		}
	}
	return all
}

// work is the files of an order, and where each of them belongs.
type work struct {
	e       *engine
	o       control.Order
	loads   []*load
	entries []ref.Entry // to be fetched
	places  []place     // the same, in the same order
	skipped int64       // bytes of those that need not be fetched
	files   int
	total   int64
	results map[*load][]control.DoneFile
	notes   []transfer.Note // of the fetches, all
}

type place struct {
	load *load
	at   int // in the load's files
}

func (e *engine) newWork(o control.Order, loads []*load) *work {
	w := &work{e: e, o: o, loads: loads, results: map[*load][]control.DoneFile{}}
	for _, l := range loads {
		if l.err != nil {
			continue
		}
		w.results[l] = make([]control.DoneFile, len(l.files))
		for i, f := range l.files {
			w.results[l][i] = control.DoneFile{File: f.Path, Size: f.Blob.Size, ETag: string(f.Blob.ETag), Sources: []control.Source{}}
			w.entries = append(w.entries, ref.Entry{Repo: l.repo, Commit: l.commit, Path: f.Path, Blob: f.Blob})
			w.places = append(w.places, place{l, i})
			w.files++
			w.total += f.Blob.Size
		}
	}
	return w
}

func (p place) file() ref.Listed { return p.load.files[p.at] }

func (w *work) result(p place) *control.DoneFile { return &w.results[p.load][p.at] }

// progress is a look at the fetches as the control API tells it.
func (w *work) progress(m transfer.Many) control.OrderProgress {
	p := control.OrderProgress{
		Phase: transfer.PhaseFetch, Files: w.files, FilesDone: w.files - m.Files + m.FilesDone,
		Done: w.skipped + m.Done, Total: w.total,
		Sources: sources(m.Sources), Active: []control.Progress{},
	}
	if w.skipped > 0 {
		p.Sources = append(p.Sources, control.Source{Kind: string(source.Local), Name: "folder", Bytes: w.skipped})
	}
	for _, a := range m.Active {
		p.Active = append(p.Active, progress(ref.File{Repo: a.Entry.Repo, Path: a.Entry.Path}, a))
	}
	for _, l := range w.loads {
		p.Notes = append(p.Notes, notes(l.notes)...)
	}
	p.Notes = append(p.Notes, notes(m.Notes)...)
	return p
}

// lacks tells whether a file that was wanted is not here.
func (w *work) lacks(l *load) bool {
	return slices.ContainsFunc(w.results[l], func(f control.DoneFile) bool { return f.Error != nil || f.Path == "" })
}

// done sums up.
func (w *work) done() control.Done {
	d := control.Done{Repos: []control.DoneRepo{}, Sources: []control.Source{}, Dropped: []control.Note{}, Warnings: []string{}}
	for _, l := range w.loads {
		r := control.DoneRepo{
			Repo: l.repo.ID, RepoType: string(l.repo.Type), Revision: l.want.Revision, Commit: string(l.commit),
			Path: w.pathOf(l), Files: append(append([]control.DoneFile{}, w.results[l]...), l.failed...),
		}
		if l.err != nil {
			r.Error, r.Path = Explain(l.err), ""
			d.Failed++
		}
		for _, f := range r.Files {
			if f.Error != nil {
				d.Failed++
				continue
			}
			d.Files++
			d.Bytes += f.Size
			d.Sources = addUp(d.Sources, f.Sources)
		}
		for _, n := range notes(l.notes) {
			d.Warnings = append(d.Warnings, n.Text)
		}
		d.Repos = append(d.Repos, r)
	}
	for _, n := range notes(w.notes) {
		d.Warnings = append(d.Warnings, n.Text)
		if n.Dropped {
			d.Dropped = append(d.Dropped, n)
		}
	}
	sort.SliceStable(d.Sources, func(i, j int) bool { return d.Sources[i].Bytes > d.Sources[j].Bytes })
	return d
}

func (w *work) pathOf(l *load) string {
	if l.dir != nil {
		return l.dir.Path()
	}
	return w.e.cache.Snapshot(l.repo, l.commit)
}

func addUp(all, more []control.Source) []control.Source {
	for _, s := range more {
		i := slices.IndexFunc(all, func(o control.Source) bool { return o.Kind == s.Kind && o.Name == s.Name })
		if i < 0 {
			all = append(all, control.Source{Kind: s.Kind, Name: s.Name})
			i = len(all) - 1
		}
		all[i].Bytes += s.Bytes
	}
	return all
}

// errUnfetched is for a file that was not come to.
var errUnfetched = errors.New("it was not fetched")

// place takes in what came of the fetches, and puts files into the folder.
func (w *work) place(ctx context.Context, outcomes []transfer.Outcome) {
	const atOnce = 4
	var wait sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i, o := range outcomes {
		p := w.places[i]
		r := w.result(p)
		if o.Err == nil && o.Path == "" {
			o.Err = errUnfetched
		}
		if o.Err != nil {
			r.Error = Explain(w.e.offlineToo(o.Err))
			continue
		}
		r.Path = o.Path
		for _, s := range sources(o.Sources) {
			if s.Bytes > 0 {
				r.Sources = append(r.Sources, control.Source{Kind: s.Kind, Name: s.Name, Bytes: s.Bytes})
			}
		}
		if p.load.dir == nil {
			continue
		}
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			if err := w.export(ctx, p, o.Entry, r); err != nil {
				r.Error = Explain(err)
			}
		})
	}
	wait.Wait()
}

// offlineToo has an error of a download say that the Hub was not to be asked.
func (e *engine) offlineToo(err error) error {
	if none, ok := errors.AsType[*transfer.NoSourceError](err); ok && e.offline {
		none.Asked = append(none.Asked, hub.ErrOffline)
	}
	return err
}

// skipPlaced leaves out what lies in the folder already.
func (w *work) skipPlaced(ctx context.Context) {
	var entries []ref.Entry
	var places []place
	for i, p := range w.places {
		f, dir := p.file(), p.load.dir
		if dir == nil {
			return
		}
		r := w.result(p)
		if err := localdir.Check(f.Path); err != nil {
			r.Error = Explain(err)
		} else if dir.Has(ctx, f.Path, f.Blob) && dir.Note(f.Path, p.load.commit, f.Blob.ETag) == nil {
			r.Path, r.How = dir.File(f.Path), "kept"
			r.Sources = append(r.Sources, control.Source{Kind: string(source.Local), Name: "folder", Bytes: f.Blob.Size})
			w.skipped += f.Blob.Size
		} else {
			entries, places = append(entries, w.entries[i]), append(places, p)
		}
	}
	w.entries, w.places = entries, places
	for _, l := range w.loads {
		if l.err == nil && l.tree != nil && l.dir != nil {
			if err := l.dir.KeepTree(l.commit, cache.TreeJSON(l.tree)); err != nil {
				w.e.log.Debug("the list of files was not left in the folder", "err", err)
			}
		}
	}
}

// export puts a file into the folder.
func (w *work) export(ctx context.Context, p place, entry ref.Entry, r *control.DoneFile) error {
	dir := p.load.dir
	dst, tmp, err := dir.Prepare(entry.Path)
	if err != nil {
		return err
	}
	how, err := w.e.cache.Export(ctx, entry, dst, tmp, w.o.HardLinks)
	if err != nil {
		return err
	}
	r.Path, r.How = dst, string(how)
	return dir.Note(entry.Path, entry.Commit, entry.Blob.ETag)
}

// Order is the engine's.
func (n *Node) Order(ctx context.Context, o control.Order, watch func(control.OrderProgress)) (control.Done, error) {
	return n.engine.Order(ctx, o, watch)
}

// Survey is the engine's.
func (n *Node) Survey(ctx context.Context, o control.Order) (control.Survey, error) {
	return n.engine.Survey(ctx, o)
}

// Order brings many files into the cache.
func (p *Passerby) Order(ctx context.Context, o control.Order, watch func(control.OrderProgress)) (control.Done, error) {
	p.opening()
	context.AfterFunc(ctx, p.hurry)
	return p.engine.Order(ctx, o, watch)
}

// Survey tells what an order would fetch from whom.
func (p *Passerby) Survey(ctx context.Context, o control.Order) (control.Survey, error) {
	p.asking.start()
	return p.engine.Survey(ctx, o)
}

var (
	_ control.Orderer = (*Node)(nil)
	_ control.Orderer = (*Passerby)(nil)
)
