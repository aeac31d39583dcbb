package node

import (
	"context"
	"slices"
	"sync"

	"hffs/cache/localdir"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/transfer/source"
)

// Survey tells what an order would fetch from whom. Nothing is fetched, and nothing
// written but what the Hub says of the repos.
func (e *engine) Survey(ctx context.Context, o control.Order) (control.Survey, error) {
	if err := CheckOrder(o); err != nil {
		return control.Survey{}, err
	}
	if e.searched != nil {
		go e.searched(ctx) // meanwhile
	}
	into := o.LocalDir
	o.LocalDir = "" // it need not be made for this
	loads, err := e.loads(ctx, o)
	if err != nil {
		return control.Survey{}, err
	}
	if e.searched != nil {
		e.searched(ctx)
	}
	s := control.Survey{Repos: []control.SurveyRepo{}, Nodes: []control.NodeHas{}, Warnings: []string{}}
	near := e.whoHas(ctx, loads)
	for _, l := range loads {
		e.surveyRepo(ctx, &s, l, near, into)
	}
	for _, n := range near {
		if n.Files > 0 {
			s.Nodes = append(s.Nodes, n.NodeHas)
		}
	}
	slices.SortStableFunc(s.Nodes, func(a, b control.NodeHas) int { return int(b.Bytes/1024 - a.Bytes/1024) })
	return s, ctx.Err()
}

// hasNode is a node and the blobs that it holds.
type hasNode struct {
	control.NodeHas
	etags map[ref.ETag]bool
}

// whoHas asks every node which of all blobs it holds.
func (e *engine) whoHas(ctx context.Context, loads []*load) (near []*hasNode) {
	ctx, cancel := context.WithTimeout(ctx, wherePatience)
	defer cancel()
	var etags []ref.ETag
	for _, l := range loads {
		for _, f := range l.files {
			etags = append(etags, f.Blob.ETag)
		}
	}
	if len(etags) == 0 {
		return nil
	}
	var wait sync.WaitGroup
	for _, b := range e.batchers(ctx, ref.Entry{}) {
		n := &hasNode{NodeHas: control.NodeHas{Node: b.Name()}, etags: map[ref.ETag]bool{}}
		if at, ok := b.(interface{ Addr() string }); ok {
			n.Addr = at.Addr()
		}
		near = append(near, n)
		wait.Go(func() {
			has, err := b.HasBlobs(ctx, etags)
			if err != nil {
				e.log.Debug("asked what a neighbour holds", "source", b.Name(), "err", err)
				return
			}
			for i, yes := range has {
				if yes {
					n.etags[etags[i]] = true
				}
			}
		})
	}
	wait.Wait()
	return near
}

func (e *engine) surveyRepo(ctx context.Context, s *control.Survey, l *load, near []*hasNode, into string) {
	r := control.SurveyRepo{
		Repo: l.repo.ID, RepoType: string(l.repo.Type), Revision: l.want.Revision, Commit: string(l.commit),
		Files: []control.SurveyFile{}, Lacking: append([]control.DoneFile{}, l.failed...),
	}
	for _, n := range notes(l.notes) {
		s.Warnings = append(s.Warnings, n.Text)
	}
	if l.err != nil {
		r.Error = Explain(l.err)
		s.Repos = append(s.Repos, r)
		return
	}
	reached := !l.stale && !e.offline
	for _, f := range l.files {
		r.Files = append(r.Files, e.surveyFile(ctx, s, l, f, near, reached, into))
	}
	s.Repos = append(s.Repos, r)
}

// surveyFile says who is the nearest to have a file.
func (e *engine) surveyFile(ctx context.Context, s *control.Survey, l *load, f ref.Listed, near []*hasNode, reached bool, into string) control.SurveyFile {
	out := control.SurveyFile{File: f.Path, Size: f.Blob.Size, ETag: string(f.Blob.ETag), Nodes: []string{}}
	here := e.cache.Seems(ref.Entry{Repo: l.repo, Commit: l.commit, Path: f.Path, Blob: f.Blob}) || into != "" && localdir.At(into).Has(ctx, f.Path, f.Blob)
	for _, n := range near {
		if !n.etags[f.Blob.ETag] {
			continue
		}
		out.Nodes = append(out.Nodes, n.Node)
		if !here {
			n.Files++
			n.Bytes += f.Blob.Size
		}
	}
	share := &s.Nobody
	switch {
	case here:
		share, out.From = &s.Here, "here"
	case len(out.Nodes) > 0:
		share, out.From = &s.LAN, "lan"
	case reached:
		share, out.From = &s.Hub, string(source.Hub)
	default:
		out.From = "nobody"
	}
	share.Files++
	share.Bytes += f.Blob.Size
	return out
}
