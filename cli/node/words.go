package node

import (
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/transfer"
)

// From what the rooms say to what the control API says.

func progress(f ref.File, p transfer.Progress) control.Progress {
	return control.Progress{
		Phase: p.Phase, Repo: f.Repo.ID, File: f.Path,
		Done: p.Done, Total: p.Total, Sources: sources(p.Sources), Notes: notes(p.Notes),
		Limits: control.Limits{Down: p.Limits.Down, Hub: p.Limits.Hub},
	}
}

func got(f ref.File, r transfer.Result) control.Got {
	g := control.Got{
		Path: r.Path, Repo: f.Repo.ID, RepoType: string(f.Repo.Type), Revision: f.Revision,
		Commit: string(r.Entry.Commit), File: f.Path, Size: r.Entry.Blob.Size, ETag: string(r.Entry.Blob.ETag),
		Seconds: r.Took.Seconds(), Dropped: []control.Note{}, Warnings: []string{},
	}
	for _, s := range sources(r.Sources) {
		if s.Bytes > 0 {
			s.Rate, s.Active = 0, false
			g.Sources = append(g.Sources, s)
		}
	}
	if g.Sources == nil {
		g.Sources = []control.Source{}
	}
	for _, n := range notes(r.Notes) {
		g.Warnings = append(g.Warnings, n.Text)
		if n.Dropped {
			g.Dropped = append(g.Dropped, n)
		}
	}
	return g
}

func where(f ref.File, r transfer.Resolved) control.Where {
	e := r.Entry
	w := control.Where{
		Repo: f.Repo.ID, RepoType: string(f.Repo.Type), Revision: f.Revision, Commit: string(e.Commit),
		File: f.Path, Size: e.Blob.Size, ETag: string(e.Blob.ETag), Warnings: []string{},
	}
	for _, n := range r.Notes {
		w.Warnings = append(w.Warnings, n.Text)
	}
	return w
}

func sources(in []transfer.SourceState) []control.Source {
	out := make([]control.Source, 0, len(in))
	for _, s := range in {
		out = append(out, control.Source{Kind: string(s.Kind), Name: s.Name, Bytes: s.Bytes, Rate: s.Rate, Active: s.Active})
	}
	return out
}

func notes(in []transfer.Note) []control.Note {
	out := make([]control.Note, 0, len(in))
	for _, n := range in {
		out = append(out, control.Note{Source: n.Source, Text: n.Text, Dropped: n.Dropped})
	}
	return out
}
