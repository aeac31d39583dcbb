package peer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"hffs/cache/ref"
	"hffs/transfer/pace"
	"hffs/transfer/source"
)

// Many small blobs in one answer. A question is etags one behind the other, each its
// length in bytes (u8: 20 or 32) and its raw bytes. The first answer is a bit for each,
// as for chunks. The second is, for each in the order asked for, the blob's length
// (u32, little-endian) and its bytes; the length absent says that it is not to be had
// so: it is not held, or too large.
const (
	// MaxBatchHave and MaxBatch bound what one request asks for.
	MaxBatchHave = 8192
	MaxBatch     = 512

	absent = 1<<32 - 1

	// batchQuiet is how long an answer may bring nothing. A limit of ours that holds
	// it up does not count.
	batchQuiet = 10 * time.Second
)

// The server's half.

func (s *Server) batchHave(w http.ResponseWriter, r *http.Request) {
	etags, ok := readETags(w, r, MaxBatchHave)
	if !ok {
		return
	}
	bits := make([]byte, (len(etags)+7)/8)
	for i, etag := range etags {
		if held, err := s.Store.Held(etag); err == nil {
			bits[i/8] |= 1 << (i % 8)
			_ = held.Close()
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(bits)
}

func (s *Server) batch(w http.ResponseWriter, r *http.Request) {
	etags, ok := readETags(w, r, MaxBatch)
	if !ok {
		return
	}
	limit := grace + time.Duration(len(etags)*source.BatchBlobMost/slowest)*time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
	w.Header().Set("Content-Type", "application/octet-stream")
	out := s.count(w, r)
	var buf bytes.Buffer
	for _, etag := range etags {
		buf.Reset()
		s.frame(&buf, etag)
		n, err := out.ReadFrom(&buf)
		if err != nil {
			return
		}
		s.served(r, etag, n-frameHead)
	}
	if s.Sent != nil {
		s.Sent("", out.n)
	}
}

// frameHead is how many bytes tell the length of a frame.
const frameHead = 4

// frame puts a blob into buf. One that is shorter than it was a moment ago is absent.
func (s *Server) frame(buf *bytes.Buffer, etag ref.ETag) {
	var head [frameHead]byte
	_, _ = buf.Write(head[:])
	n, err := s.copyHeld(buf, etag)
	if err != nil {
		buf.Truncate(len(head))
		n = absent
	}
	binary.LittleEndian.PutUint32(buf.Bytes(), uint32(n))
}

func (s *Server) copyHeld(buf *bytes.Buffer, etag ref.ETag) (int64, error) {
	held, err := s.Store.Held(etag)
	if err != nil {
		return 0, err
	}
	defer held.Close()
	if held.Size() > source.BatchBlobMost {
		return 0, source.ErrGone
	}
	return io.CopyN(buf, held.File(), held.Size())
}

func readETags(w http.ResponseWriter, r *http.Request, most int) (etags []ref.ETag, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(most*(1+32))))
	if err == nil {
		etags, err = decodeETags(body, most)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("blobs are asked for by 1 to %d etags", most))
		return nil, false
	}
	return etags, true
}

var errETags = errors.New("not a list of etags")

func decodeETags(body []byte, most int) (etags []ref.ETag, err error) {
	for len(body) > 0 {
		n := int(body[0])
		if n != 20 && n != 32 || len(body) <= n || len(etags) == most {
			return nil, errETags
		}
		etags = append(etags, ref.ETag(hex.EncodeToString(body[1:1+n])))
		body = body[1+n:]
	}
	if len(etags) == 0 {
		return nil, errETags
	}
	return etags, nil
}

func encodeETags[T any](all []T, etag func(T) ref.ETag) ([]byte, error) {
	var body []byte
	for _, x := range all {
		raw, err := hex.DecodeString(string(etag(x)))
		if err != nil || len(raw) != 20 && len(raw) != 32 {
			return nil, fmt.Errorf("%w: %q", errETags, etag(x))
		}
		body = append(append(body, byte(len(raw))), raw...)
	}
	return body, nil
}

// The asker's half.

var _ source.Batcher = (*Source)(nil)

// Addr is where the node's door is, HOST:PORT.
func (s *Source) Addr() string { return strings.TrimPrefix(s.origin, "http://") }

// HasBlobs asks which blobs the node holds.
func (s *Source) HasBlobs(ctx context.Context, etags []ref.ETag) ([]bool, error) {
	has := make([]bool, 0, len(etags))
	for len(etags) > 0 {
		some := etags[:min(len(etags), MaxBatchHave)]
		body, err := encodeETags(some, func(e ref.ETag) ref.ETag { return e })
		if err != nil {
			return nil, err
		}
		resp, err := s.ask(ctx, pathBatchHave, body)
		if err != nil {
			return nil, err
		}
		bits := make([]byte, (len(some)+7)/8)
		_, err = io.ReadFull(resp.Body, bits)
		drain(resp.Body)
		if err != nil {
			return nil, fmt.Errorf("read from %s: %w", s.name, err)
		}
		for i := range some {
			has = append(has, bits[i/8]&(1<<(i%8)) != 0)
		}
		etags = etags[len(some):]
	}
	return has, nil
}

// Blobs asks for small blobs, at most [MaxBatch].
func (s *Source) Blobs(ctx context.Context, blobs []ref.Blob, each func(i int, data []byte) error) error {
	body, err := encodeETags(blobs, func(b ref.Blob) ref.ETag { return b.ETag })
	if err != nil {
		return err
	}
	var held atomic.Int32
	ctx, cancel := context.WithCancelCause(pace.Tell(ctx, &held))
	defer cancel(nil)
	resp, err := s.ask(ctx, PathBatch, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	w := &wakeful{from: resp.Body, held: &held, give: func() {
		cancel(fmt.Errorf("%s has sent nothing for %v", s.name, batchQuiet))
	}}
	defer w.stop()
	in := bufio.NewReaderSize(w.start(), 64<<10)
	for i, b := range blobs {
		data, err := s.readFrame(in, b)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return fmt.Errorf("read from %s: %w", s.name, err)
		}
		if data == nil {
			continue
		}
		if err := each(i, data); err != nil {
			return err
		}
	}
	_, _ = io.CopyN(io.Discard, in, 1) // its end, so that the connection can be used again
	return nil
}

// readFrame gives nil for what is not held. A blob of another length than the Hub
// states is not it.
func (s *Source) readFrame(in io.Reader, b ref.Blob) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	switch n := binary.LittleEndian.Uint32(head[:]); {
	case n == absent:
		return nil, nil
	case int64(n) != b.Size || n > source.BatchBlobMost:
		return nil, fmt.Errorf("a blob of %d bytes instead of %d: %w", n, b.Size, source.ErrRefused)
	default:
		data := make([]byte, n)
		_, err := io.ReadFull(in, data)
		return data, err
	}
}

func (s *Source) ask(ctx context.Context, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.origin+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.name, plain(err))
	}
	if resp.StatusCode != http.StatusOK {
		defer drain(resp.Body)
		return nil, s.refusal(resp)
	}
	return resp, nil
}

// wakeful gives up on a reader that brings nothing for too long.
type wakeful struct {
	from  io.Reader
	held  *atomic.Int32 // who waits for a limit of ours
	give  func()
	timer *time.Timer
}

func (w *wakeful) start() io.Reader {
	w.timer = time.AfterFunc(batchQuiet, w.ring)
	return w
}

func (w *wakeful) ring() {
	if w.held.Load() > 0 {
		w.timer.Reset(batchQuiet)
		return
	}
	w.give()
}

func (w *wakeful) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if n > 0 {
		w.timer.Reset(batchQuiet)
	}
	return n, err
}

func (w *wakeful) stop() { w.timer.Stop() }
