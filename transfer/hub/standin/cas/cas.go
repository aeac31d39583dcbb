// Package cas is the store behind the stand-in Hub's Xet side: it takes the
// xorbs and shards that a real client uploads, checks them as the real CAS does,
// and tells how a file is put together from them.
//
// Read it in this order: cas.go takes xorbs and files; shard.go reads a shard's
// list of files; reconstruct.go tells how a file is put together, file.go reads
// its bytes back; make.go puts content in without a client, for tests of size.
//
// What the store accepted is right: every chunk of a xorb was unpacked and
// hashed, the xorb's hash is that of its chunks, and a file's hash that of the
// chunks its terms name. So whatever it serves is data in the sense of the
// protocol, not merely in the sense of this package.
package cas

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"hffs/cache/chunk"
	"hffs/transfer/xorb"
)

// Errors by which the HTTP side picks a status.
var (
	ErrBad     = errors.New("bad upload") // the sender's fault
	ErrUnknown = errors.New("not here")
	ErrRange   = errors.New("range outside the file")
)

// Store holds xorbs and files, in memory. It is safe for concurrent use.
type Store struct {
	mu    sync.Mutex // guards all below; what is in the maps is never changed
	xorbs map[chunk.Hash]*Xorb
	files map[chunk.Hash]*file
	bySHA map[string]chunk.Hash // by sha256 in hex, as shards tell it
	made  map[chunk.Hash]stored // chunks that Make put in
}

// New is an empty store.
func New() *Store {
	return &Store{
		xorbs: map[chunk.Hash]*Xorb{}, files: map[chunk.Hash]*file{},
		bySHA: map[string]chunk.Hash{}, made: map[chunk.Hash]stored{},
	}
}

// Xorb is a stored xorb.
type Xorb struct {
	hash   chunk.Hash
	data   []byte
	chunks []chunk.Chunk
	ends   []int64 // of each chunk with its header, in data
}

// Data reads the xorb as it was uploaded.
func (x *Xorb) Data() *bytes.Reader { return bytes.NewReader(x.data) }

// span is where the chunks from start up to end lie in the data; inclusive, as
// ranges of HTTP are.
func (x *Xorb) span(start, end int) (first, last int64) {
	if start > 0 {
		first = x.ends[start-1]
	}
	return first, x.ends[end-1] - 1
}

// file is a stored file: terms in order, and where each ends.
type file struct {
	terms []Term
	ends  []int64
}

func (f *file) size() int64 {
	if len(f.ends) == 0 {
		return 0
	}
	return f.ends[len(f.ends)-1]
}

// A Term is a run of chunks in a xorb.
type Term struct {
	Xorb       chunk.Hash
	Start, End int
	Size       int64 // unpacked
}

// PutXorb stores a xorb under the hash that its sender gives it.
func (s *Store) PutXorb(hash chunk.Hash, r io.Reader) (inserted bool, err error) {
	data, err := io.ReadAll(io.LimitReader(r, xorb.MaxSize+1))
	if err != nil {
		return false, err
	}
	if len(data) > xorb.MaxSize {
		return false, fmt.Errorf("%w: a xorb of more than %d bytes", ErrBad, xorb.MaxSize)
	}
	x, err := parseXorb(data)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrBad, err)
	}
	if x.hash != hash {
		return false, fmt.Errorf("%w: the xorb's hash is %s, not %s", ErrBad, x.hash, hash)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, have := s.xorbs[hash]
	s.xorbs[hash] = x
	return !have, nil
}

// parseXorb unpacks and hashes every chunk.
func parseXorb(data []byte) (*Xorb, error) {
	x := &Xorb{data: data}
	from, hasher := xorb.NewReader(bytes.NewReader(data)), chunk.NewHasher()
	for {
		c, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		x.chunks = append(x.chunks, chunk.Chunk{Hash: hasher.Sum(c), Length: int64(len(c))})
		x.ends = append(x.ends, from.Offset())
	}
	if len(x.chunks) == 0 || len(x.chunks) > xorb.MaxChunks {
		return nil, fmt.Errorf("a xorb of %d chunks", len(x.chunks))
	}
	m, err := chunk.Content(x.chunks)
	x.hash = m.XorbHash()
	return x, err
}

// Xorb finds a stored xorb.
func (s *Store) Xorb(hash chunk.Hash) (*Xorb, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.xorbs[hash]; x != nil {
		return x, nil
	}
	return nil, ErrUnknown
}

// PutShard stores the files that a shard describes; their xorbs must be here.
func (s *Store) PutShard(r io.Reader) (inserted bool, err error) {
	list, err := parseShard(r)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrBad, err)
	}
	for _, sf := range list {
		fresh, err := s.putFile(sf)
		if err != nil {
			return inserted, fmt.Errorf("%w: file %s: %w", ErrBad, sf.hash, err)
		}
		inserted = inserted || fresh
	}
	return inserted, nil
}

func (s *Store) putFile(sf shardFile) (fresh bool, err error) {
	f := &file{terms: sf.terms}
	var all []chunk.Chunk
	for _, t := range sf.terms {
		chunks, err := s.chunksOf(t)
		if err != nil {
			return false, err
		}
		all = append(all, chunks...)
		f.ends = append(f.ends, f.size()+t.Size)
	}
	m, err := chunk.Content(all)
	if err != nil {
		return false, err
	}
	if got := m.FileHash(); got != sf.hash {
		return false, fmt.Errorf("its hash is %s", got)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, have := s.files[sf.hash]
	s.files[sf.hash] = f
	if sf.sha256 != "" {
		s.bySHA[sf.sha256] = sf.hash
	}
	return !have, nil
}

// chunksOf checks a term against its xorb.
func (s *Store) chunksOf(t Term) ([]chunk.Chunk, error) {
	x, err := s.Xorb(t.Xorb)
	if err != nil {
		return nil, fmt.Errorf("xorb %s: %w", t.Xorb, err)
	}
	if t.Start >= t.End || t.End > len(x.chunks) {
		return nil, fmt.Errorf("chunks %d to %d of xorb %s, which has %d", t.Start, t.End, t.Xorb, len(x.chunks))
	}
	chunks := x.chunks[t.Start:t.End]
	var size int64
	for _, c := range chunks {
		size += c.Length
	}
	if size != t.Size {
		return nil, fmt.Errorf("a term of %d bytes that holds %d", t.Size, size)
	}
	return chunks, nil
}

// BySHA256 is the hash of the file whose content has this sha256, in hex.
func (s *Store) BySHA256(sum string) (hash chunk.Hash, size int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hash, ok = s.bySHA[sum]; ok {
		size = s.files[hash].size()
	}
	return hash, size, ok
}

// Size is a file's length in bytes.
func (s *Store) Size(hash chunk.Hash) (int64, error) {
	f, err := s.file(hash)
	if err != nil {
		return 0, err
	}
	return f.size(), nil
}

func (s *Store) file(hash chunk.Hash) (*file, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[hash]; f != nil {
		return f, nil
	}
	return nil, ErrUnknown
}
