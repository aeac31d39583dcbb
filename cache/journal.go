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

func journalRecord(kind byte, i int, sum chunk.Hash) []byte {
	b := make([]byte, 0, recordLen)
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(i))
	b = append(b, sum[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readJournal replays a journal for a blob with map m: the chunks written and
// their hashes, and how many bytes of the journal make sense.
func readJournal(r io.Reader, m chunk.Map) (have *chunk.Have, sums []chunk.Hash, good int64, err error) {
	head := make([]byte, headerLen)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, journalHeader(m)) {
		return nil, nil, 0, errOtherJournal
	}
	have, sums, good = chunk.NewHave(m.Len()), make([]chunk.Hash, m.Len()), headerLen
	rec := make([]byte, recordLen)
	for {
		if _, err := io.ReadFull(r, rec); err != nil {
			break
		}
		i := int64(binary.LittleEndian.Uint32(rec[1:]))
		sum := binary.LittleEndian.Uint32(rec[recordLen-4:])
		if sum != crc32.Checksum(rec[:recordLen-4], castagnoli) || i >= int64(m.Len()) {
			break
		}
		if rec[0] == kindWritten {
			have.Add(int(i))
			copy(sums[i][:], rec[5:])
		} else {
			have.Remove(int(i))
		}
		good += recordLen
	}
	return have, sums, good, nil
}

// journal appends to an open journal file.
type journal struct {
	mu   sync.Mutex // guards end
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

func (j *journal) append(b []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.WriteAt(b, j.end); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.end += int64(len(b))
	return nil
}

func (j *journal) written(i int, sum chunk.Hash) error {
	return j.append(journalRecord(kindWritten, i, sum))
}

func (j *journal) dropped(chunks []int) error {
	var b []byte
	for _, i := range chunks {
		b = append(b, journalRecord(kindDropped, i, chunk.Hash{})...)
	}
	return j.append(b)
}
