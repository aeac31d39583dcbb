package cas

import (
	"bytes"
	"errors"
	"io"
	"sort"

	"hffs/cache/chunk"
	"hffs/transfer/xorb"
)

// Open reads a file's bytes back.
func (s *Store) Open(hash chunk.Hash) (io.ReadSeekCloser, error) {
	f, err := s.file(hash)
	if err != nil {
		return nil, err
	}
	return &reader{store: s, file: f}, nil
}

// reader unpacks the chunk that it stands in.
type reader struct {
	store *Store
	file  *file
	pos   int64

	chunk []byte // unpacked
	at    int64  // where that chunk begins in the file
}

func (r *reader) Read(p []byte) (int, error) {
	if r.pos >= r.file.size() {
		return 0, io.EOF
	}
	if r.pos < r.at || r.pos >= r.at+int64(len(r.chunk)) {
		if err := r.load(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.chunk[r.pos-r.at:])
	r.pos += int64(n)
	return n, nil
}

// load unpacks the chunk that holds pos.
func (r *reader) load() error {
	f := r.file
	i := sort.Search(len(f.ends), func(i int) bool { return f.ends[i] > r.pos })
	t, at := f.terms[i], f.ends[i]-f.terms[i].Size
	x, err := r.store.Xorb(t.Xorb)
	if err != nil {
		return err
	}
	k := t.Start
	for ; at+x.chunks[k].Length <= r.pos; k++ {
		at += x.chunks[k].Length
	}
	first, last := x.span(k, k+1)
	data, err := xorb.NewReader(bytes.NewReader(x.data[first : last+1])).Next()
	r.chunk, r.at = data, at
	return err
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.file.size()
	}
	if offset < 0 {
		return r.pos, errors.New("seek before the beginning")
	}
	r.pos = offset
	return offset, nil
}

func (r *reader) Close() error { return nil }
