package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"time"

	"hffs/cache/chunk"
)

// The journal of a fetch says which chunks of the partial file were written,
// and what they hashed to. It is appended to soon after the writes, so that a process
// killed at any moment loses at most its last MiB or tenth of a second; what the
// journal says is a hint all the same, since a power cut may keep it and lose the data.
//
//	header, 32 bytes:  "hffspart" | version u32 | chunk length u32 | size u64 | cut u64
//	record, 41 bytes:  kind u8 ('w' written, 'd' dropped) | chunk u32 | hash 32 bytes | crc32c u32
//	              or:  kind u8 ('a' ahead) | offset<<17 + length-1 u64 | hash 28 bytes | crc32c u32
//
// What lies ahead of a map is not a chunk of this cut; so it says where it lies,
// and as much of its hash as there is room for.
//
// For a blob that is cut by its content the chunk length is 0, and cut is a mark
// of the map in the file beside; else cut is 0.
//
// All numbers are little-endian; the crc covers the record before it. A record
// torn by a crash ends the journal.
const (
	journalMagic   = "hffspart"
	journalVersion = 2
	headerLen      = 32
	recordLen      = 1 + 4 + 32 + 4

	kindWritten = 'w'
	kindDropped = 'd'
	kindAhead   = 'a'

	lengthBits   = 17 // chunk.MaxLen is the longest that they can say
	aheadHashLen = 28
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errOtherJournal = errors.New("not the journal of this blob")

func journalHeader(m chunk.Map) []byte {
	b := append([]byte{}, journalMagic...)
	b = binary.LittleEndian.AppendUint32(b, journalVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.Step()))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Size()))
	return binary.LittleEndian.AppendUint64(b, cutMark(m))
}

// cutMark tells one content-defined map from another; 0 for fixed chunks. The
// root of its tree stands for all of it.
func cutMark(m chunk.Map) uint64 {
	if !m.ByContent() {
		return 0
	}
	root := m.FileHash()
	return binary.LittleEndian.Uint64(root[:])
}

func appendRecord(b []byte, kind byte, i int, sum chunk.Hash) []byte {
	begin := len(b)
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(i))
	b = append(b, sum[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[begin:], castagnoli))
}

func aheadRecord(a Ahead) []byte {
	b := make([]byte, 0, recordLen)
	b = append(b, kindAhead)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.Off)<<lengthBits|uint64(a.Length-1))
	b = append(b, a.Hash[:aheadHashLen]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// replayed is what a journal says.
type replayed struct {
	have  *chunk.Have
	sums  []chunk.Hash // of the chunks in have
	ahead []Ahead      // in the order written; the last bytes of their hashes are zero
	good  int64        // how many bytes of the journal make sense
}

// readJournal replays a journal for a blob with map m.
func readJournal(r io.Reader, m chunk.Map) (replayed, error) {
	head := make([]byte, headerLen)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, journalHeader(m)) {
		return replayed{}, errOtherJournal
	}
	all := replayed{have: chunk.NewHave(m.Len()), sums: make([]chunk.Hash, m.Len()), good: headerLen}
	rec := make([]byte, recordLen)
	for {
		if _, err := io.ReadFull(r, rec); err != nil {
			break
		}
		sum := binary.LittleEndian.Uint32(rec[recordLen-4:])
		if sum != crc32.Checksum(rec[:recordLen-4], castagnoli) || !all.add(rec, m) {
			break
		}
		all.good += recordLen
	}
	return all, nil
}

// add takes in a whole record; false means that it makes no sense for m.
func (all *replayed) add(rec []byte, m chunk.Map) bool {
	if rec[0] == kindAhead {
		where := binary.LittleEndian.Uint64(rec[1:])
		a := Ahead{Off: int64(where >> lengthBits), Chunk: chunk.Chunk{Length: int64(where%(1<<lengthBits)) + 1}}
		copy(a.Hash[:], rec[9:9+aheadHashLen])
		if a.end() > m.Size() {
			return false
		}
		all.ahead = append(all.ahead, a)
		return true
	}
	i := int64(binary.LittleEndian.Uint32(rec[1:]))
	if i >= int64(m.Len()) {
		return false
	}
	switch rec[0] {
	case kindWritten:
		all.have.Add(int(i))
		copy(all.sums[i][:], rec[5:])
	case kindDropped:
		all.have.Remove(int(i))
	default:
		return false
	}
	return true
}

// journal appends to an open journal file. What was written is noted a moment later, for
// several chunks at once: a kill costs what was written since, and no more.
type journal struct {
	mu   sync.Mutex // guards what follows
	file *os.File
	end  int64
	held []byte // records that are not in the file yet
	of   int64  // bytes of the blob that they are about
	wait *time.Timer
	err  error // of writing them down meanwhile
}

const (
	holdMost = 1 << 20 // bytes of the blob
	holdFor  = 100 * time.Millisecond
)

// start begins anew.
func (j *journal) start(m chunk.Map) error {
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	return j.append(journalHeader(m))
}

// resume goes on behind the part that makes sense.
func (j *journal) resume(good int64) error {
	j.end = good
	return j.file.Truncate(good)
}

// replace goes on in another file, which says all that this one does.
func (j *journal) replace(file *os.File, end int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.file.Close()
	j.file, j.end, j.held, j.of = file, end, nil, 0
}

// append writes a record down at once, behind those before it.
func (j *journal) append(b []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held = append(j.held, b...)
	return j.flushLocked()
}

func (j *journal) flushLocked() error {
	if j.wait != nil {
		j.wait.Stop()
	}
	if len(j.held) > 0 && j.err == nil {
		_, j.err = j.file.WriteAt(j.held, j.end)
		j.end += int64(len(j.held))
	}
	j.held, j.of = j.held[:0], 0
	if j.err != nil {
		return fmt.Errorf("write journal: %w", j.err)
	}
	return nil
}

func (j *journal) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.flushLocked()
}

// close writes down what is held and closes the file.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.flushLocked(), j.file.Close())
}

// written is for chunks from first on, which have so many bytes.
func (j *journal) written(first int, sums []chunk.Hash, bytes int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	fresh := len(j.held) == 0
	for k, sum := range sums {
		j.held = appendRecord(j.held, kindWritten, first+k, sum)
	}
	switch j.of += bytes; {
	case j.of >= holdMost || j.err != nil:
		return j.flushLocked()
	case j.wait == nil:
		j.wait = time.AfterFunc(holdFor, func() { _ = j.flush() })
	case fresh:
		j.wait.Reset(holdFor)
	}
	return nil
}

func (j *journal) dropped(chunks []int) error {
	var b []byte
	for _, i := range chunks {
		b = appendRecord(b, kindDropped, i, chunk.Hash{})
	}
	return j.append(b)
}
