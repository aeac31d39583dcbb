// Command benchlan measures what hffs costs beside its rivals, in a lab of
// network namespaces on this machine: a file from one holder against curl from
// nginx, on loopback and over 1 Gbit/s, and from four holders of 250 Mbit/s
// against aria2 with four addresses. From one holder hffs fetches a plain file
// and one with a Xet hash, so that what each kind of verifying costs can be held
// against curl, which verifies nothing. Crowds of fetchers, from one seed or from a
// slow origin, are held against libtorrent; many small files against "hf download".
//
// All contenders of a figure take turns, round after round, after one round
// that does not count; what is printed are medians and their ratios. Absolute
// figures say as much about the machine as about the program. "Machine CPU" is
// all time that was not idle, since it is chance which end of a connection pays
// for the kernel's work.
//
// Read figures.go for what is compared, contenders.go for who runs, measure.go
// for what is counted, table.go for what is printed; crowd.go and torrent.go are
// all that for crowds, many.go for small files, endpoint.go for clients of the local
// endpoint.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"

	"hffs/cli/lab"
)

type options struct {
	size   int64
	rounds int
	dir    string
	only   *regexp.Regexp
	who    *regexp.Regexp
}

func main() {
	var o options
	size := flag.Int64("mib", 1024, "size of the file in MiB")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds that count")
	flag.StringVar(&o.dir, "dir", "", "where files are written (default: a temporary folder)")
	hffs := flag.String("hffs", "", "the hffs to measure (default: built from the source)")
	only := flag.String("only", "", "measure only the figures whose names match")
	who := flag.String("who", "", "let only the contenders of crowds run whose names match")
	flag.Parse()
	o.size, o.only, o.who = *size<<20, regexp.MustCompile(*only), regexp.MustCompile(*who)
	if *hffs != "" {
		os.Setenv("HFFS_BIN", absolute(*hffs))
	}
	os.Exit(measureAll(o))
}

// measureAll runs the figures one after the other.
func measureAll(o options) (code int) {
	defer lab.Forget()
	for _, f := range figures {
		if o.only.MatchString(f.name) && !attempt(f, o) {
			code = 1
		}
	}
	return code
}

// attempt measures one figure and tidies up behind it, whatever happens.
func attempt(f figure, o options) (ok bool) {
	r := &run{options: o, figure: f}
	defer r.tidy()
	defer func() {
		if stop, is := recover().(stopped); is {
			fmt.Fprintf(os.Stderr, "%s: %s\n", f.name, stop)
		}
	}()
	switch {
	case r.crowd != nil:
		r.playCrowd()
	case r.small > 0:
		r.playSmall()
	case r.endpoint:
		r.playEndpoint()
	default:
		r.play()
	}
	return !r.failed
}

// run is one figure being measured; to the lab it is a test.
type run struct {
	options
	figure
	lab      *lab.Lab
	hub      *lab.Hub
	cleanups []func()
	failed   bool
	results  map[string][]sample
}

// stopped is the panic by which a run ends early.
type stopped string

func (r *run) Helper()                   {}
func (r *run) Name() string              { return r.name }
func (r *run) Failed() bool              { return r.failed }
func (r *run) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *run) Logf(f string, a ...any)   { fmt.Fprintf(os.Stderr, f+"\n", a...) }
func (r *run) Errorf(f string, a ...any) { r.failed = true; r.Logf(f, a...) }
func (r *run) FailNow()                  { r.failed = true; panic(stopped("failed")) }
func (r *run) Fatalf(f string, a ...any) { r.failed = true; panic(stopped(fmt.Sprintf(f, a...))) }
func (r *run) Skipf(f string, a ...any)  { panic(stopped("skipped: " + fmt.Sprintf(f, a...))) }
func (r *run) must(what string, err error) {
	if err != nil {
		r.Fatalf("%s: %v", what, err)
	}
}

func (r *run) TempDir() string {
	dir, err := os.MkdirTemp(r.dir, "hffs-bench-")
	r.must("make a folder", err)
	r.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (r *run) tidy() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}
