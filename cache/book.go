package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"hffs/cache/disk"
)

// The buckets of our database. All of it can be lost without harm: files are
// then hashed again, and the Hub asked again.
const (
	bucketChecked = "checked" // rel -> record
	bucketMaps    = "maps"    // etag -> chunk hashes of a checked blob
	bucketRefs    = "refs"    // repo folder/revision -> commit and when the Hub said so
	bucketEntries = "entries" // repo folder/commit/path -> blob, as the Hub stated it
	bucketOrder   = "order"   // sequence number -> key in entries, oldest first
	bucketTrees   = "trees"   // repo folder/commit -> the commit's file list, as the Hub stated it
	bucketInfos   = "infos"   // repo folder/commit -> what the Hub said of the repo, as JSON
)

var buckets = []string{
	bucketChecked, bucketMaps, bucketRefs, bucketEntries, bucketOrder,
	bucketTrees, orderOf(bucketTrees), bucketInfos, orderOf(bucketInfos),
}

// How much is written at once, so that thousands of small files do not cost an
// fsync each.
const (
	flushItems = 1000
	flushBytes = 8 << 20
)

// book is the database, with writes kept back for a moment. Reads see them at once.
type book struct {
	db  *bolt.DB
	log *slog.Logger

	flushing sync.Mutex // held by whoever writes to db, which waits for the disk

	mu      sync.Mutex // guards what follows; never held while the disk is waited for
	pending values     // kept back
	leaving values     // on their way to the disk
	items   int        // in pending
	bytes   int
}

// values are what is to be written, by bucket and key.
type values map[string]map[string][]byte

func (v values) put(bucket, key string, value []byte) {
	if v[bucket] == nil {
		v[bucket] = map[string][]byte{}
	}
	v[bucket][key] = value
}

const lockTimeout = 500 * time.Millisecond

func openBook(state string, log *slog.Logger) (*book, error) {
	if err := os.MkdirAll(state, 0o777); err != nil {
		return nil, asNotWritable(state, err)
	}
	path := filepath.Join(state, "cache.db")
	db, err := openBolt(path)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w", state, ErrInUse)
	case isDamaged(err):
		log.Warn("the record of checked files is damaged; starting a new one", "file", path, "error", err)
		if err := os.Rename(path, path+".damaged"); err != nil {
			return nil, err
		}
		db, err = openBolt(path)
	}
	if err != nil {
		return nil, asNotWritable(state, noSpaceForState(err, state))
	}
	return &book{db: db, log: log, pending: values{}}, nil
}

func openBolt(path string) (*bolt.DB, error) {
	if err := checkLength(path); err != nil {
		return nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// errShort says that a database ends before its last page. bbolt maps the file
// and would be killed by the system when it reads behind its end.
var errShort = errors.New("file is cut short")

// boltMagic is how bbolt marks its meta pages.
const boltMagic = 0xED0CDAED

// checkLength holds a database's length against what its latest meta page says:
// in each of the first two pages, behind a header of 16 bytes, magic u32, version
// u32, page size u32, 28 more bytes, number of pages u64, transaction u64, in the
// machine's byte order (bbolt: internal/common/meta.go).
func checkLength(path string) error {
	const metaEnd = 72
	f, err := os.Open(path)
	if err != nil {
		return nil // bbolt makes it, or says what is wrong
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || fi.Size() == 0 || !fi.Mode().IsRegular() {
		return nil
	}
	var need, latest uint64
	page := int64(0)
	for range 2 {
		head := make([]byte, metaEnd)
		if _, err := f.ReadAt(head, page); err != nil || binary.NativeEndian.Uint32(head[16:]) != boltMagic {
			return nil // bbolt finds that out by itself
		}
		size := uint64(binary.NativeEndian.Uint32(head[24:]))
		if tx := binary.NativeEndian.Uint64(head[64:]); tx >= latest {
			latest, need = tx, binary.NativeEndian.Uint64(head[56:])*size
		}
		page = int64(size)
	}
	if uint64(fi.Size()) < need {
		return errShort
	}
	return nil
}

func isDamaged(err error) bool {
	return errors.Is(err, errShort) || errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrVersionMismatch) || errors.Is(err, berrors.ErrChecksum)
}

// noSpace turns "no space left" into the error that says how much there is.
func noSpace(err error, need int64, dir string) error {
	if err == nil || !disk.IsNoSpace(err) {
		return err
	}
	free, _ := disk.Free(dir)
	return &SpaceError{Need: need, Free: free, Dir: dir}
}

// stateNeed is about what our own state takes to begin with.
const stateNeed = 1 << 20

// noSpaceForState is noSpace for the folder of our own state.
func noSpaceForState(err error, state string) error {
	err = noSpace(err, stateNeed, state)
	if e, ok := err.(*SpaceError); ok {
		e.State = true
	}
	return err
}

// get returns a copy of the value, or nil.
func (b *book) get(bucket, key string) (value []byte) {
	b.mu.Lock()
	v, ok := b.pending[bucket][key]
	if !ok {
		v, ok = b.leaving[bucket][key]
	}
	b.mu.Unlock()
	if ok {
		return v
	}
	_ = b.db.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket([]byte(bucket)).Get([]byte(key)); v != nil {
			value = append([]byte{}, v...)
		}
		return nil
	})
	return value
}

// put sets a value that must not be changed afterwards; nil deletes it. It waits for the
// disk only where that is far behind.
func (b *book) put(bucket, key string, value []byte) {
	if b.add(bucket, key, value) {
		b.tell(b.flush())
	}
}

// tell has the user know of a flush that nobody waits for.
func (b *book) tell(err error) {
	if err != nil {
		b.log.Warn("cannot write the record of checked files", "error", err)
	}
}

// behind is how many times as much as is written at once may be kept back meanwhile.
const behind = 8

func (b *book) add(bucket, key string, value []byte) (tooMuch bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending.put(bucket, key, value)
	b.items++
	b.bytes += len(key) + len(value)
	if (b.items >= flushItems || b.bytes >= flushBytes) && b.flushing.TryLock() {
		go func() {
			defer b.flushing.Unlock()
			b.tell(b.flushLocked())
		}()
	}
	return b.items >= behind*flushItems || b.bytes >= behind*flushBytes
}

// each visits what is on disk, leaving out what is pending; it is for reading
// everything at the start.
func (b *book) each(bucket string, visit func(key string, value []byte)) error {
	return b.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(bucket)).ForEach(func(k, v []byte) error {
			visit(string(k), v)
			return nil
		})
	})
}

// ends returns the first and the last key on disk, empty when there is none.
func (b *book) ends(bucket string) (first, last string) {
	_ = b.db.View(func(tx *bolt.Tx) error {
		cur := tx.Bucket([]byte(bucket)).Cursor()
		k, _ := cur.First()
		first = string(k)
		k, _ = cur.Last()
		last = string(k)
		return nil
	})
	return first, last
}

// flush writes what is kept back. What could not be written is forgotten too: it would
// pile up, and all of it can be found out again.
func (b *book) flush() error {
	b.flushing.Lock()
	defer b.flushing.Unlock()
	return b.flushLocked()
}

// flushLocked is for the holder of flushing.
func (b *book) flushLocked() error {
	b.mu.Lock()
	b.leaving, b.pending = b.pending, values{}
	b.items, b.bytes = 0, 0
	b.mu.Unlock()
	if len(b.leaving) == 0 {
		return nil
	}
	err := b.db.Update(func(tx *bolt.Tx) error {
		for bucket, all := range b.leaving {
			if err := write(tx.Bucket([]byte(bucket)), all); err != nil {
				return err
			}
		}
		return nil
	})
	b.mu.Lock()
	b.leaving = nil
	b.mu.Unlock()
	return err
}

func write(bucket *bolt.Bucket, values map[string][]byte) error {
	for k, v := range values {
		var err error
		if v == nil {
			err = bucket.Delete([]byte(k))
		} else {
			err = bucket.Put([]byte(k), v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *book) close() error { return errors.Join(b.flush(), b.db.Close()) }
