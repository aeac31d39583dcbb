package index

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"hffs/cache/disk"
)

// table is the rows of all blobs: the sorted runs, oldest first, and what is to
// become the next one. Records get their rows in the order of their numbers.
type table struct {
	recent []row
	runs   []*run
	done   uint32 // records with numbers up to here have all their rows
	safe   uint32 // the same, of the rows in runs
}

// summary is the file "table": what of the table is on disk. A run that it does
// not list is left over from a kill. Before it stand a checksum and a blank.
type summary struct {
	Version int          `json:"version"`
	Maps    string       `json:"maps"` // id of the file that it was made from
	Done    uint32       `json:"done"` // as table.safe
	Next    uint32       `json:"next"` // as Index.next: numbers below it are used up
	Runs    []runSummary `json:"runs"`
}

type runSummary struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	Sum  uint32 `json:"sum"`
}

const (
	tableName    = "table"
	tableVersion = 1
	tableMax     = 1 << 20 // bytes
	runPrefix    = "run-"
)

// loadTable opens the table where it fits the maps. When not, it begins anew, and
// so it does when any run is missing.
func (x *Index) loadTable() error {
	s, err := readSummary(x.root, hex.EncodeToString([]byte(x.maps.id)))
	if err == nil {
		x.next = max(x.next, s.Next)
		x.table.done, x.table.safe = s.Done, s.Done
		err = x.openRuns(s.Runs)
	}
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) || len(x.blobs) > 0 {
			x.log.Warn("the table of chunks does not fit its maps; it is made anew", "error", err)
		}
		return x.reset()
	}
	return x.removeStrays()
}

func readSummary(root *os.Root, maps string) (s summary, err error) {
	f, err := root.Open(tableName)
	if err != nil {
		return s, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, tableMax))
	if err != nil {
		return s, err
	}
	sum, text, _ := strings.Cut(string(b), " ")
	if sum != checksum(text) || json.Unmarshal([]byte(text), &s) != nil {
		return s, errDamaged
	}
	if s.Version != tableVersion || s.Maps != maps || s.Next == 0 || s.Done >= s.Next {
		return s, errDamaged
	}
	return s, nil
}

func checksum(text string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(text), castagnoli))
}

func (x *Index) openRuns(list []runSummary) error {
	for _, s := range list {
		n, err := strconv.ParseUint(strings.TrimPrefix(s.Name, runPrefix), 10, 32)
		if err != nil || s.Name != nameOfRun(n) {
			return errDamaged
		}
		x.runs = max(x.runs, n)
		r, err := openRun(x.root, s.Name, s.Rows, s.Sum)
		if err != nil {
			return fmt.Errorf("open %s: %w", s.Name, err)
		}
		x.table.runs = append(x.table.runs, r)
	}
	return nil
}

// removeStrays deletes runs that no table lists.
func (x *Index) removeStrays() error {
	listed := map[string]bool{}
	for _, r := range x.table.runs {
		listed[r.name] = true
	}
	d, err := x.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	for _, name := range names {
		if strings.HasPrefix(name, runPrefix) && !listed[name] || strings.HasSuffix(name, newSuffix) {
			_ = x.root.Remove(name)
		}
	}
	return err
}

// reset empties the table. The caller is alone or holds x.writing.
func (x *Index) reset() error {
	if err := x.replaceTable(table{}); err != nil {
		return err
	}
	x.damaged.Store(false)
	return x.removeStrays()
}

// save writes the summary of a table, under its name only when it is whole.
func (x *Index) save(t table) error {
	s := summary{Version: tableVersion, Maps: hex.EncodeToString([]byte(x.maps.id)), Done: t.safe, Next: x.next}
	for _, r := range t.runs {
		s.Runs = append(s.Runs, runSummary{r.name, r.rows, r.sum})
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := x.root.Create(tableName + newSuffix)
	if err != nil {
		return err
	}
	_, err = f.WriteString(checksum(string(b)) + " " + string(b))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return disk.Replace(x.root, tableName+newSuffix, tableName)
}

// flush makes a run of the recent rows. With the other runs it holds all rows of
// records up to done. The caller holds x.writing.
func (x *Index) flush(done uint32) error {
	rows := x.table.recent
	if len(rows) == 0 {
		return nil
	}
	at := 0
	r, err := writeRun(x.root, x.runName(), func() (row, error) {
		if at == len(rows) {
			return row{}, io.EOF
		}
		at++
		return rows[at-1], nil
	})
	if err != nil {
		return fmt.Errorf("write the table of chunks: %w", err)
	}
	t := x.table
	t.recent, t.runs, t.safe = nil, append(slices.Clip(t.runs), r), done
	return x.replaceTable(t)
}

// replaceTable makes t the table, on disk first. Runs that are not in it are
// removed. The caller holds x.writing.
func (x *Index) replaceTable(t table) error {
	if err := x.save(t); err != nil {
		return fmt.Errorf("write the table of chunks: %w", err)
	}
	old := x.table.runs
	x.mu.Lock()
	x.table = t
	x.mu.Unlock()
	for _, r := range old {
		if !slices.Contains(t.runs, r) {
			r.remove(x.root)
		}
	}
	return nil
}

// remove deletes a run; where that fails it is a stray at the next start.
func (r *run) remove(root *os.Root) {
	_ = r.f.Close()
	_ = root.Remove(r.name)
}

// runName is a name that no run has. The caller holds x.writing.
func (x *Index) runName() string {
	x.runs++
	return nameOfRun(x.runs)
}

func nameOfRun(n uint64) string { return fmt.Sprintf("%s%d", runPrefix, n) }
