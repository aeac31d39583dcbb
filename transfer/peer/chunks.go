package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// The server's half: chunks by hash.

func (s *Server) chunksHave(w http.ResponseWriter, r *http.Request) {
	hashes, ok := readHashes(w, r, MaxHave)
	if !ok {
		return
	}
	bits := make([]byte, (len(hashes)+7)/8)
	for i, has := range s.Store.HasChunks(hashes) {
		if has {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(bits)
}

func (s *Server) chunks(w http.ResponseWriter, r *http.Request) {
	hashes, ok := readHashes(w, r, MaxChunks)
	if !ok {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(grace + time.Duration(len(hashes)*chunk.MaxLen/slowest)*time.Second))
	w.Header().Set("Content-Type", "application/octet-stream")
	out := s.count(w, r)
	buf, frame := make([]byte, chunk.MaxLen), make([]byte, 4)
	for _, h := range hashes {
		data, err := s.Store.ReadChunk(h, buf)
		if err != nil {
			data = nil
		}
		binary.LittleEndian.PutUint32(frame, uint32(len(data)))
		if _, err := out.Write(frame); err != nil {
			return
		}
		if _, err := out.ReadFrom(bytes.NewReader(data)); err != nil {
			return
		}
	}
	s.served(r, "", out.n)
	if s.Sent != nil {
		s.Sent("", out.n)
	}
}

func readHashes(w http.ResponseWriter, r *http.Request, most int) ([]chunk.Hash, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(most*hashLen)))
	if err != nil || len(body) == 0 || len(body)%hashLen != 0 {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("chunks are asked for by 1 to %d hashes of 32 bytes", most))
		return nil, false
	}
	hashes := make([]chunk.Hash, len(body)/hashLen)
	for i := range hashes {
		copy(hashes[i][:], body[i*hashLen:])
	}
	return hashes, true
}

// The asker's half.

// ContentMap asks for the content-defined map of a blob and proves it by the
// hash that the Hub stated.
func (s *Source) ContentMap(ctx context.Context, b ref.Blob) (chunk.Map, error) {
	m, err := s.getMap(ctx, PathMaps+string(b.Xet)+"?etag="+string(b.ETag), b.Size)
	if err != nil {
		return chunk.Map{}, err
	}
	if err := m.Verify(b.Xet, b.Size); err != nil {
		return chunk.Map{}, fmt.Errorf("%s: %w: %w: %w", s.name, source.ErrRefused, source.ErrWrong, err)
	}
	return m, nil
}

// Learn has the node find out what a blob of its own is made of, so that it can
// tell of its chunks.
func (s *Source) Learn(ctx context.Context, b ref.Blob) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, s.origin+PathMaps+string(b.Xet)+"?etag="+string(b.ETag), nil)
	if err != nil {
		return err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", s.name, plain(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s.refusal(resp)
	}
	return nil
}

// sample is how many chunks are asked about before all are: most peers have
// nothing in common with a blob that they do not hold.
const sample = 256

// HasChunks asks which of a map's chunks the node holds, in whatever blob.
func (s *Source) HasChunks(ctx context.Context, m chunk.Map) (*chunk.Have, error) {
	has := chunk.NewHave(m.Len())
	step := max(1, m.Len()/sample)
	var some []int
	for i := 0; i < m.Len(); i += step {
		some = append(some, i)
	}
	if err := s.askHave(ctx, m, some, has); err != nil || has.Count() == 0 {
		return has, err
	}
	all := make([]int, 0, min(m.Len(), MaxHave))
	for i := range m.Len() {
		if all = append(all, i); len(all) == MaxHave || i == m.Len()-1 {
			if err := s.askHave(ctx, m, all, has); err != nil {
				return has, err
			}
			all = all[:0]
		}
	}
	return has, nil
}

func (s *Source) askHave(ctx context.Context, m chunk.Map, chunks []int, has *chunk.Have) error {
	for len(chunks) > 0 {
		batch := chunks[:min(len(chunks), MaxHave)]
		resp, err := s.post(ctx, pathHave, m, batch)
		if err != nil {
			return err
		}
		bits := make([]byte, (len(batch)+7)/8)
		_, err = io.ReadFull(resp.Body, bits)
		drain(resp.Body)
		if err != nil {
			return fmt.Errorf("read from %s: %w", s.name, err)
		}
		for k, i := range batch {
			if bits[k/8]&(1<<(k%8)) != 0 {
				has.Add(i)
			}
		}
		chunks = chunks[len(batch):]
	}
	return nil
}

func (s *Source) post(ctx context.Context, path string, m chunk.Map, chunks []int) (*http.Response, error) {
	body := make([]byte, 0, len(chunks)*hashLen)
	for _, i := range chunks {
		h := m.Hash(i)
		body = append(body, h[:]...)
	}
	return s.ask(ctx, path, body)
}

// Chunks is a node that holds some of a blob's chunks in other blobs, such as an
// older revision. It is a source for spans of them.
type Chunks struct {
	*Source
	m chunk.Map
}

// OfChunks makes a source of a node for the chunks of m.
func (s *Source) OfChunks(m chunk.Map) source.Source { return &Chunks{s, m} }

var (
	_ source.ContentMapper = (*Source)(nil)
	_ source.ChunkHolder   = (*Source)(nil)
)

// Open asks for the chunks that make up the range, which must begin and end
// where chunks do.
func (c *Chunks) Open(ctx context.Context, _ ref.Entry, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return http.NoBody, nil
	}
	first, last := c.m.At(off), c.m.At(off+n-1)
	if off < 0 || last >= c.m.Len() || c.m.Offset(first) != off || c.m.Offset(last+1) != off+n {
		return nil, errors.New("a range of chunks must begin and end with chunks")
	}
	return &chunkStream{ctx: ctx, c: c, next: first, end: last + 1}, nil
}

// chunkStream reads chunk after chunk, asking for some at a time.
type chunkStream struct {
	ctx       context.Context
	c         *Chunks
	next, end int // chunks not begun yet
	asked     int // up to which the present answer goes
	body      io.ReadCloser
	left      int64 // of the chunk being read
}

func (s *chunkStream) Read(p []byte) (int, error) {
	for s.left == 0 {
		if s.next == s.end {
			return 0, io.EOF
		}
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	n, err := s.body.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err == io.EOF && (s.left > 0 || s.next < s.asked) {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF {
		err = nil
	}
	return n, err
}

// begin reads the frame of the next chunk, asking for more where the last
// answer is used up.
func (s *chunkStream) begin() error {
	if s.next >= s.asked {
		if err := s.ask(); err != nil {
			return err
		}
	}
	var frame [4]byte
	if _, err := io.ReadFull(s.body, frame[:]); err != nil {
		return fmt.Errorf("read from %s: %w", s.c.name, err)
	}
	switch n := int64(binary.LittleEndian.Uint32(frame[:])); n {
	case s.c.m.Length(s.next):
		s.left = n
	case 0:
		return fmt.Errorf("%s: chunk %d: %w", s.c.name, s.next, source.ErrGone)
	default:
		return fmt.Errorf("%s sent a chunk of %d bytes instead of %d: %w", s.c.name, n, s.c.m.Length(s.next), source.ErrRefused)
	}
	s.next++
	return nil
}

func (s *chunkStream) ask() error {
	s.shut()
	var batch []int
	for i := s.next; i < min(s.end, s.next+MaxChunks); i++ {
		batch = append(batch, i)
	}
	resp, err := s.c.post(s.ctx, PathChunks, s.c.m, batch)
	if err != nil {
		return err
	}
	s.body, s.asked = resp.Body, s.next+len(batch)
	return nil
}

func (s *chunkStream) shut() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

func (s *chunkStream) Close() error {
	s.shut()
	s.left, s.next, s.end = 0, 0, 0
	return nil
}
