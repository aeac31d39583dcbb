package standin

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// files are the repos to be, before each becomes one commit on main.
type files map[ref.Repo]map[string]Content

func (f files) put(name ref.Repo, path string, c Content) {
	if f[name] == nil {
		f[name] = map[string]Content{}
	}
	f[name][path] = c
}

// LoadDir adds the repos found under dir, each as one commit on main: the files
// of dir/models/ORG/NAME/, and likewise under datasets and spaces.
func (h *Hub) LoadDir(dir string) error {
	found := files{}
	if err := found.load(dir); err != nil {
		return err
	}
	h.addAll(found)
	return nil
}

func (h *Hub) addAll(f files) {
	for name, content := range f {
		h.Add(name, "main", content)
	}
}

func (f files) load(dir string) error {
	folders, err := filepath.Glob(filepath.Join(dir, "*s", "*", "*"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		rel, err := filepath.Rel(dir, folder)
		if err != nil {
			return err
		}
		kind, id, _ := strings.Cut(filepath.ToSlash(rel), "/")
		t, ok := typeOf(kind)
		if info, err := os.Stat(folder); !ok || err != nil || !info.IsDir() {
			continue
		}
		name, err := ref.ParseRepo(t, id)
		if err != nil {
			return err
		}
		if err := f.loadRepo(name, folder); err != nil {
			return fmt.Errorf("load %s: %w", folder, err)
		}
	}
	return nil
}

// loadRepo takes every file below the folder; links to files, as snapshots in
// the Hugging Face cache have them, are followed.
func (f files) loadRepo(name ref.Repo, folder string) error {
	return filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == ".cache" {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(folder, p)
		if err != nil {
			return err
		}
		c, err := FromFile(p)
		if err == nil {
			f.put(name, filepath.ToSlash(rel), c)
		}
		return err
	})
}

// many is a flag that may be given more than once.
type many []string

func (m *many) String() string     { return strings.Join(*m, ",") }
func (m *many) Set(s string) error { *m = append(*m, s); return nil }

type options struct {
	dir, listen, cdn    string
	cas                 string
	synthetic, tokens   many
	writers             many
	gated, private      many
	pageSize            int
	oldRedirect, secure bool
	xet                 bool
	tokenLife, linkLife time.Duration
}

// Main runs a stand-in as a process until ctx ends. When it serves, it prints
// one line of JSON: {"hub":URL,"cdn":URL,"cas":URL}, with "ca" (PEM) under --tls.
func Main(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	set := flag.NewFlagSet("stand-in Hub", flag.ContinueOnError)
	set.SetOutput(stdout)
	set.StringVar(&o.dir, "dir", "", "serve the repos in `DIR`/{models,datasets,spaces}/ORG/NAME/")
	set.StringVar(&o.listen, "listen", "127.0.0.1:0", "`ADDR` of the Hub")
	set.StringVar(&o.cdn, "cdn", "127.0.0.1:0", "`ADDR` of the CDN")
	set.StringVar(&o.cas, "cas", "", "`ADDR` of the Xet CAS (any port beside the CDN)")
	set.Var(&o.synthetic, "synthetic", "add a made-up file, `[datasets/]ORG/NAME/FILE=SIZE[@SEED]` (repeatable)")
	set.Var(&o.tokens, "token", "a `TOKEN` that may read every repo (repeatable)")
	set.Var(&o.writers, "writer", "a `TOKEN` that may upload (repeatable)")
	set.BoolVar(&o.xet, "xet", false, "offer the large files by the Xet protocol, too")
	set.DurationVar(&o.tokenLife, "xet-token-life", time.Hour, "how long a token for the CAS is good for")
	set.DurationVar(&o.linkLife, "link-life", time.Hour, "how long a URL of the CDN is good for")
	set.Var(&o.gated, "gated", "`REPO` whose files need a token (repeatable)")
	set.Var(&o.private, "private", "`REPO` that only tokens see (repeatable)")
	set.IntVar(&o.pageSize, "page-size", 0, "split tree listings into pages of `N`")
	set.BoolVar(&o.oldRedirect, "old-redirect", false, "leave X-Linked-Etag out of redirects to small files")
	set.BoolVar(&o.secure, "tls", false, "serve https with a certificate of its own")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return o.run(ctx, stdout)
}

func (o options) run(ctx context.Context, stdout io.Writer) error {
	h, err := o.hub()
	if err != nil {
		return err
	}
	start := h.Start
	if o.secure {
		start = h.StartTLS
	}
	r, err := start(o.listen, o.cdn)
	if err != nil {
		return err
	}
	ready := map[string]string{"hub": r.URL(), "cdn": r.CDNURL(), "cas": r.CASURL()}
	if o.secure {
		ready["ca"] = string(r.CA())
	}
	if err := json.NewEncoder(stdout).Encode(ready); err != nil {
		return errors.Join(err, r.Close())
	}
	return r.Wait(ctx)
}

// hub builds the Hub that the flags describe.
func (o options) hub() (*Hub, error) {
	h, all := New(), files{}
	h.PageSize, h.AddrCAS = o.pageSize, o.cas
	h.XetTokenLife, h.LinkLife = o.tokenLife, o.linkLife
	if o.oldRedirect {
		h.Shape307 = WithoutETag
	}
	if o.dir != "" {
		if _, err := os.Stat(o.dir); err != nil {
			return nil, err
		}
		if err := all.load(o.dir); err != nil {
			return nil, err
		}
	}
	for _, spec := range o.synthetic {
		if err := all.putSynthetic(spec); err != nil {
			return nil, err
		}
	}
	if o.xet {
		if err := all.overXet(h); err != nil {
			return nil, err
		}
	}
	h.addAll(all)
	return h, o.guard(h, all)
}

// overXet puts what would be a large file into the CAS, too.
func (f files) overXet(h *Hub) error {
	for _, content := range f {
		for path, c := range content {
			if c.decided(path).kind != lfs {
				continue
			}
			var err error
			if content[path], err = h.OverXet(c, chunk.Current); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

// guard closes the repos named, and makes tokens that open all of them.
func (o options) guard(h *Hub, all files) error {
	for _, list := range []struct {
		names many
		do    func(ref.Repo)
	}{{o.gated, func(r ref.Repo) { h.Gate(r, "auto") }}, {o.private, h.Private}} {
		for _, s := range list.names {
			name, err := parseRepo(s)
			if err != nil {
				return err
			}
			if all[name] == nil {
				return fmt.Errorf("no repo %s to close", name)
			}
			list.do(name)
		}
	}
	var names []ref.Repo
	for name := range all {
		names = append(names, name)
	}
	for _, token := range o.tokens {
		h.Token(token, names...)
	}
	for _, token := range o.writers {
		h.Writer(token)
	}
	return nil
}

func (f files) putSynthetic(spec string) error {
	file, size, _ := strings.Cut(spec, "=")
	id, path, ok := splitFile(file)
	if !ok || size == "" {
		return fmt.Errorf("synthetic %q: it is written ORG/NAME/FILE=SIZE", spec)
	}
	name, err := parseRepo(id)
	if err != nil {
		return err
	}
	if err := ref.CheckPath(path); err != nil {
		return err
	}
	c, err := parseSynthetic(size)
	if err == nil {
		f.put(name, path, c)
	}
	return err
}

// splitFile parts [datasets/|spaces/]ORG/NAME from the file's path.
func splitFile(s string) (repo, path string, ok bool) {
	n := 2
	if prefix, _, _ := strings.Cut(s, "/"); prefix == "datasets" || prefix == "spaces" || prefix == "models" {
		n = 3
	}
	parts := strings.SplitN(s, "/", n+1)
	if len(parts) <= n {
		return "", "", false
	}
	return strings.Join(parts[:n], "/"), parts[n], true
}

// parseRepo reads [datasets/|spaces/]ORG/NAME.
func parseRepo(s string) (ref.Repo, error) {
	t := ref.Model
	if prefix, rest, ok := strings.Cut(s, "/"); ok {
		if p, known := typeOf(prefix); known {
			t, s = p, rest
		}
	}
	return ref.ParseRepo(t, s)
}
