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

	"hffs/cache/chunk"
)

// The journal of a fetch says which chunks of the partial file were written,
// and what they hashed to. It is appended to after each write, so that a process
// killed at any moment loses at most the chunk it was writing; what the journal
// says is a hint all the same, since a power cut may keep it and lose the data.
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
	if m.Step() != 0 || m.Len() == 0 {
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

// journal appends to an open journal file.
type journal struct {
	mu   sync.Mutex // guards what follows
	file *os.File
	end  int64
}

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

// replace goes on in another file.
func (j *journal) replace(file *os.File, end int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.file.Close()
	j.file, j.end = file, end
}

func (j *journal) append(b []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.WriteAt(b, j.end); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.end += int64(len(b))
	return nil
}

// written is for chunks from first on.
func (j *journal) written(first int, sums []chunk.Hash) error {
	b := make([]byte, 0, len(sums)*recordLen)
	for k, sum := range sums {
		b = appendRecord(b, kindWritten, first+k, sum)
	}
	return j.append(b)
}

func (j *journal) dropped(chunks []int) error {
	var b []byte
	for _, i := range chunks {
		b = appendRecord(b, kindDropped, i, chunk.Hash{})
	}
	return j.append(b)
}
