package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample is the files of an index of some blobs, one of them forgotten, in a few
// runs and with a record behind them.
func sample(t testing.TB, dir string) {
	t.Helper()
	x, err := Open(Config{Dir: dir, flushRows: 100})
	require.NoError(t, err)
	for i := range uint64(sampleBlobs) {
		require.NoError(t, x.Put(etagOf(i), made(t, i, 40)))
	}
	x.Forget(etagOf(sampleGone))
	require.NoError(t, x.Close())
	require.Greater(t, len(x.table.runs), 1)
}

const sampleBlobs, sampleGone = 8, 3

// requireMends opens a damaged index and makes sure that it says nothing wrong, and
// that it knows everything again once it was told again what it does not know.
func requireMends(t *testing.T, dir string) {
	t.Helper()
	x, err := Open(Config{Dir: dir, flushRows: 100})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	var held []Blob
	for i := range uint64(sampleBlobs) {
		m := made(t, i, 40)
		for k, places := range x.Find(hashesOf(m)) {
			if len(places) > 0 {
				require.Len(t, places, 1)
				require.Equal(t, Place{etagOf(i), m.Offset(k), int(m.Length(k))}, places[0])
			}
		}
		if i != sampleGone {
			if _, err := x.Map(etagOf(i)); err != nil {
				require.ErrorIs(t, err, ErrUnknown)
			}
			held = append(held, Blob{ETag: etagOf(i), Size: m.Size()})
		}
	}
	require.NoError(t, x.Tidy(t.Context())) // may find a damaged run
	require.NoError(t, x.Tidy(t.Context()))
	missing := map[string]bool{}
	for _, b := range x.Reconcile(held) {
		missing[string(b.ETag)] = true
	}
	for i := range uint64(sampleBlobs) {
		if m := made(t, i, 40); i == sampleGone {
			requireGone(t, x, etagOf(i), m)
		} else if !missing[string(etagOf(i))] {
			requireHeld(t, x, etagOf(i), m)
		} else {
			require.NoError(t, x.Put(etagOf(i), m))
		}
	}
	for i := range uint64(sampleBlobs) {
		if i != sampleGone {
			requireHeld(t, x, etagOf(i), made(t, i, 40))
		}
	}
}

// damage makes a copy of the sample for each way to spoil one of its files.
func damage(t *testing.T, spoil func(content []byte, each func(what string, spoilt []byte))) {
	from := t.TempDir()
	sample(t, from)
	for _, name := range files(t, from) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoil(read(t, from, name), func(what string, spoilt []byte) {
				dir := filepath.Join(t.TempDir(), "index")
				require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), spoilt, 0o644))
				if !t.Run(what, func(t *testing.T) { requireMends(t, dir) }) {
					t.FailNow()
				}
			})
		})
	}
}

func TestTruncation(t *testing.T) {
	t.Parallel()
	damage(t, func(content []byte, each func(string, []byte)) {
		cuts := []int{0, 1, 7, 8, 15, 16, 17, len(content) - 1, len(content) - fenceLen, pageLen - 1, pageLen, pageLen + 1}
		for at := 0; at < len(content); at += max(len(content)/25, 1) {
			cuts = append(cuts, at)
		}
		for at := 0; ; at++ { // around each record
			next := bytes.Index(content[at:], []byte(recordMagic))
			if next < 0 {
				break
			}
			at += next
			cuts = append(cuts, at-1, at, at+1, at+headerLen-1, at+headerLen, at+headerLen+1)
		}
		for _, at := range cuts {
			if at >= 0 && at < len(content) {
				each(fmt.Sprintf("at %d", at), content[:at])
			}
		}
	})
}

func TestFlippedBits(t *testing.T) {
	t.Parallel()
	damage(t, func(content []byte, each func(string, []byte)) {
		for at := 0; at < len(content); at += max(len(content)/30, 1) {
			spoilt := bytes.Clone(content)
			spoilt[at] ^= 1 << (at % 8)
			each(fmt.Sprintf("byte %d", at), spoilt)
		}
	})
}

// TestZeros is what some disks leave where the power failed: the right length and
// nothing in it.
func TestZeros(t *testing.T) {
	t.Parallel()
	damage(t, func(content []byte, each func(string, []byte)) {
		for i := range 4 {
			spoilt := bytes.Clone(content)
			clear(spoilt[i*len(content)/4:])
			each(fmt.Sprintf("from %d/4", i), spoilt)
		}
	})
}

func TestAFileIsGone(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	sample(t, from)
	for _, name := range files(t, from) {
		dir := filepath.Join(t.TempDir(), "index")
		require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
		requireMends(t, dir)
	}
}

// TestStrays is what a kill between two steps leaves.
func TestStrays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sample(t, dir)
	for _, name := range []string{"run-99", "maps.new", "table.new"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o644))
	}
	requireMends(t, dir)
	for _, name := range files(t, dir) {
		require.NotContains(t, name, newSuffix)
		require.NotEqual(t, "run-99", name)
	}
}

// TestDamageFoundInUse spoils a run under an open index.
func TestDamageFoundInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sample(t, dir)
	x := open(t, dir)
	for _, r := range x.table.runs {
		require.NoError(t, os.WriteFile(filepath.Join(dir, r.name), make([]byte, pageLen), 0o644))
	}
	m := made(t, 1, 40)
	x.Find(hashesOf(m))
	require.NoError(t, x.Tidy(t.Context()))
	requireHeld(t, x, etagOf(1), m)
}

// FuzzOpen opens whatever lies there.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	sample(f, dir)
	maps, table := read(f, dir, mapsName), read(f, dir, tableName)
	run := files(f, dir)[1]
	f.Add(maps, table, read(f, dir, run))
	f.Add(maps[:3000], table, []byte{})
	f.Add([]byte(mapsMagic), []byte(checksum("{}")+" {}"), bytes.Repeat([]byte{255}, pageLen+fenceLen))
	f.Fuzz(func(t *testing.T, maps, table, content []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, mapsName), maps, 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, tableName), table, 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, run), content, 0o644))
		x, err := Open(Config{Dir: dir, flushRows: 100})
		require.NoError(t, err)
		for i := range uint64(sampleBlobs) {
			x.Find(hashesOf(made(t, i, 3)))
			_, _ = x.Map(etagOf(i))
		}
		require.NoError(t, x.Tidy(t.Context()))
		require.NoError(t, x.Put(etagOf(100), made(t, 100, 3)))
		requireHeld(t, x, etagOf(100), made(t, 100, 3))
		require.NoError(t, x.Close())
	})
}

// FuzzRecord decodes headers; what is accepted comes out as it went in.
func FuzzRecord(f *testing.F) {
	r := &record{number: 7, etag: etagOf(1), size: 1 << 30, full: true, maps: []stored{{len: 100, sum: 1}, {len: 200, sum: 2}}}
	b, err := r.header()
	require.NoError(f, err)
	f.Add(b)
	f.Add(make([]byte, headerLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == headerLen { // get past the checksum, which is not against malice
			binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
		}
		r, err := decodeRecord(b, mapsHead)
		if err != nil {
			return
		}
		again, err := r.header()
		require.NoError(t, err)
		back, err := decodeRecord(again, mapsHead)
		require.NoError(t, err)
		require.Equal(t, r, back)
	})
}

// FuzzPage finds rows in pages of garbage.
func FuzzPage(f *testing.F) {
	var p page
	for i := range pageRows {
		p.add(row{uint64(i) << 40, 1, 1})
	}
	f.Add(bytes.Clone(p.seal(0)), uint64(3)<<40)
	f.Add([]byte{1, 2, 3}, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, key uint64) {
		var p page
		copy(p.b[:], b)
		binary.LittleEndian.PutUint32(p.b[pageLen-4:], crc32.Checksum(p.b[:pageLen-4], castagnoli))
		dir := t.TempDir()
		path := filepath.Join(dir, "run-1")
		fences := binary.LittleEndian.AppendUint64(nil, p.row(0).key)
		require.NoError(t, os.WriteFile(path, append(p.b[:], fences...), 0o644))
		root, err := os.OpenRoot(dir)
		require.NoError(t, err)
		defer root.Close()
		r, err := openRun(root, "run-1", 1, crc32.Checksum(fences, castagnoli))
		require.NoError(t, err)
		defer r.f.Close()
		var rd reader
		rd.begin(r)
		seen := 0
		_ = rd.each(key, func(r row) bool {
			require.Equal(t, key, r.key)
			seen++
			return true
		})
		require.LessOrEqual(t, seen, pageRows)
	})
}
