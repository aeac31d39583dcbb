package peer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// Nodes that fetch the same blob follow each other's news. An answer to
//
//	GET /v1/feeds/{etag}?node={id}&name={name}&port={door}
//
// goes on for as long as the blob is fetched. It is a row of frames:
//
//	u8      what: a source.NewsKind, or 0 for a sign of life
//	uvarint length of the rest, at most [maxFrame]
//	uvarint offset, uvarint length in bytes
//	u8      length of the name of who answers for them, and the name
//	32 …    hashes
//
// Node, name and port say who asks, so that it is followed in turn; without a
// port it cannot be. They may also stand in the question of who fetches a blob how
// much of it is here.
const (
	PathFeeds = "/v1/feeds/"

	maxFrame = 64 << 10
	maxBy    = 64
	// framesSums is how many hashes go into one frame.
	frameSums = 1024
	alive     = time.Second     // between signs of life
	feedDead  = 4 * time.Second // without any: whoever tells is gone
	maxFeeds  = 256
	// feedSpare is what a feed may take, in bytes, besides 64 for each fixed chunk:
	// ranges are told, lost, claimed and released more than once.
	feedSpare = 16 << 20
)

// Feed is what a node tells of a blob that it is fetching.
type Feed interface {
	// News waits for what has come up since pos, and gives the next pos. At 0 it is
	// everything there is to tell. The error io.EOF ends it: the fetch is over.
	News(ctx context.Context, pos int64) ([]source.News, int64, error)
}

// Introduction is how a node presents itself to those it follows.
type Introduction struct {
	ID, Name string
	Port     uint16 // of its door; 0: nobody can ask it
}

func (i Introduction) query() string {
	return url.Values{"node": {i.ID}, "name": {i.Name}, "port": {strconv.Itoa(int(i.Port))}}.Encode()
}

func (s *Server) feed(w http.ResponseWriter, r *http.Request) {
	etag, err := ref.ParseETag(r.PathValue("etag"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "a blob is named by its etag, 40 or 64 hex digits")
		return
	}
	s.meet(etag, r)
	f, ok := s.Store.Feed(etag)
	if !ok {
		refuse(w, http.StatusNotFound, "it is not being fetched here")
		return
	}
	select {
	case s.feeds <- struct{}{}:
		defer func() { <-s.feeds }()
	default:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "too many follow already")
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // or the server would end the request by then
	w.Header().Set("Content-Type", "application/octet-stream")
	_ = s.tell(r.Context(), f, w, control)
}

// meet takes note of who asks, if it can be asked in turn.
func (s *Server) meet(etag ref.ETag, r *http.Request) {
	q := r.URL.Query()
	port, err := strconv.ParseUint(q.Get("port"), 10, 16)
	from, addrErr := netip.ParseAddrPort(r.RemoteAddr)
	id, name := q.Get("node"), q.Get("name")
	if err != nil || addrErr != nil || port == 0 || !plainWord(id) || !plainWord(name) {
		return
	}
	s.Store.Met(etag, id, name, netip.AddrPortFrom(from.Addr().Unmap(), uint16(port)))
}

// plainWord is a name that can be shown and compared.
func plainWord(s string) bool {
	return s != "" && len(s) <= maxBy && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// tell sends news until they end, and signs of life in between.
func (s *Server) tell(ctx context.Context, f Feed, w io.Writer, control *http.ResponseController) error {
	var buf []byte
	for pos := int64(0); ; {
		wait, cancel := context.WithTimeout(ctx, alive)
		news, next, err := f.News(wait, pos)
		cancel()
		buf = buf[:0]
		switch {
		case err == nil:
			pos = next
			for _, n := range news {
				buf = appendNews(buf, n)
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			buf = append(buf, 0, 0)
		default:
			return err
		}
		_ = control.SetWriteDeadline(time.Now().Add(grace))
		if _, err := w.Write(buf); err != nil {
			return err
		}
		if err := control.Flush(); err != nil {
			return err
		}
	}
}

// appendNews writes one piece of news, in several frames where it has many
// hashes.
func appendNews(b []byte, n source.News) []byte {
	for len(n.Sums) > frameSums {
		part := n
		part.Sums, part.Len = n.Sums[:frameSums], frameSums*chunk.FixedLen
		b = appendFrame(b, part)
		n.Sums, n.Off, n.Len = n.Sums[frameSums:], n.Off+part.Len, n.Len-part.Len
	}
	return appendFrame(b, n)
}

func appendFrame(b []byte, n source.News) []byte {
	var body []byte
	body = binary.AppendUvarint(body, uint64(n.Off))
	body = binary.AppendUvarint(body, uint64(n.Len))
	body = append(body, byte(len(n.By)))
	body = append(body, n.By...)
	for _, h := range n.Sums {
		body = append(body, h[:]...)
	}
	b = append(b, byte(n.Kind))
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

// Follow reads the node's news of a blob.
func (s *Source) Follow(ctx context.Context, b ref.Blob, tell func([]source.News)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.origin+PathFeeds+string(b.ETag)+"?"+s.self().query(), nil)
	if err != nil {
		return err
	}
	resp, err := s.feeds.Do(req)
	if err != nil {
		return fmt.Errorf("follow %s: %w", s.name, plain(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s.refusal(resp)
	}
	silence := time.AfterFunc(feedDead, cancel)
	defer silence.Stop()
	most := feedSpare + 64*(b.Size/chunk.FixedLen+1)
	in := bufio.NewReaderSize(io.LimitReader(resp.Body, most), 16<<10)
	if err := readNews(in, b.Size, tell, func() { silence.Reset(feedDead) }); err != nil {
		return fmt.Errorf("follow %s: %w", s.name, err)
	}
	return nil
}

// readNews tells frames as they come, those together that came together.
func readNews(in *bufio.Reader, size int64, tell func([]source.News), heard func()) error {
	var batch []source.News
	for {
		n, err := readFrame(in, size)
		if err != nil {
			return err
		}
		heard()
		if n.Kind != 0 {
			batch = append(batch, n)
		}
		if len(batch) > 0 && (in.Buffered() == 0 || len(batch) == 256 || n.Kind == source.NewsWhole) {
			tell(batch)
			batch = nil
		}
		if n.Kind == source.NewsWhole {
			return nil
		}
	}
}

var errFrame = fmt.Errorf("%w: news that make no sense", source.ErrRefused)

// readFrame reads one frame about a blob of so many bytes.
func readFrame(in *bufio.Reader, size int64) (n source.News, err error) {
	kind, err := in.ReadByte()
	if err != nil {
		return n, noEOF(err)
	}
	length, err := binary.ReadUvarint(in)
	if err != nil {
		return n, noEOF(err)
	}
	if length > maxFrame || kind > byte(source.NewsWhole) {
		return n, errFrame
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return n, noEOF(err)
	}
	if kind == 0 {
		return n, nil
	}
	n.Kind = source.NewsKind(kind)
	return n, parseNews(&n, body, size)
}

func parseNews(n *source.News, body []byte, size int64) error {
	off, a := binary.Uvarint(body)
	if a <= 0 {
		return errFrame
	}
	length, c := binary.Uvarint(body[a:])
	if c <= 0 || off > uint64(size) || length > uint64(size)-off && n.Kind != source.NewsDraws {
		return errFrame
	}
	n.Off, n.Len = int64(off), int64(length)
	rest := body[a+c:]
	if len(rest) < 1 || len(rest) < 1+int(rest[0]) || rest[0] > maxBy {
		return errFrame
	}
	n.By, rest = string(rest[1:1+rest[0]]), rest[1+rest[0]:]
	if n.By != "" && !plainWord(n.By) || len(rest)%hashLen != 0 {
		return errFrame
	}
	for ; len(rest) > 0; rest = rest[hashLen:] {
		n.Sums = append(n.Sums, chunk.Hash(rest[:hashLen]))
	}
	if k := int64(len(n.Sums)); k > 0 && (n.Off%chunk.FixedLen != 0 || k != (n.Len+chunk.FixedLen-1)/chunk.FixedLen) {
		return errFrame
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// newFeedClient is for answers that go on: they must not use up the connections
// that bytes come by.
func newFeedClient() *http.Client {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return &http.Client{
		Transport:     &http.Transport{DialContext: d.DialContext, ResponseHeaderTimeout: headerTimeout, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10},
		CheckRedirect: noRedirect,
	}
}
