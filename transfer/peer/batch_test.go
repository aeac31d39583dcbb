package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/source"
)

var nobodys = ref.Blob{ETag: ref.ETag(strings.Repeat("ab", 20)), Size: 5}

func TestBatch(t *testing.T) {
	t.Parallel()
	content := []byte("a small file")
	s, e, _ := serve(t, content, nil)
	has, err := s.HasBlobs(t.Context(), []ref.ETag{nobodys.ETag, e.Blob.ETag})
	require.NoError(t, err)
	require.Equal(t, []bool{false, true}, has)
	got := map[int]string{}
	err = s.Blobs(t.Context(), []ref.Blob{e.Blob, nobodys, e.Blob}, func(i int, data []byte) error {
		got[i] = string(data)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, map[int]string{0: string(content), 2: string(content)}, got)

	stop := errors.New("enough")
	err = s.Blobs(t.Context(), []ref.Blob{e.Blob}, func(int, []byte) error { return stop })
	require.ErrorIs(t, err, stop)
	wrong := e.Blob
	wrong.Size++
	err = s.Blobs(t.Context(), []ref.Blob{wrong}, func(int, []byte) error { return nil })
	require.ErrorIs(t, err, source.ErrRefused)
}

func TestLargeBlobsDoNotComeInBatches(t *testing.T) {
	t.Parallel()
	s, e, _ := serve(t, make([]byte, source.BatchBlobMost+1), nil)
	has, err := s.HasBlobs(t.Context(), []ref.ETag{e.Blob.ETag})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, has)
	err = s.Blobs(t.Context(), []ref.Blob{e.Blob}, func(int, []byte) error { return errors.New("it came") })
	require.NoError(t, err)
}

func TestManyMoreThanOneQuestionTakes(t *testing.T) {
	t.Parallel()
	s, e, _ := serve(t, []byte("x"), nil)
	etags := make([]ref.ETag, MaxBatchHave+3)
	for i := range etags {
		etags[i] = nobodys.ETag
	}
	etags[MaxBatchHave+2] = e.Blob.ETag
	has, err := s.HasBlobs(t.Context(), etags)
	require.NoError(t, err)
	require.Len(t, has, len(etags))
	require.True(t, has[MaxBatchHave+2])
	err = s.Blobs(t.Context(), make([]ref.Blob, 1), nil)
	require.ErrorIs(t, err, errETags)
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][]byte{
		"nothing": nil, "a torn length": {5, 0}, "a torn blob": {5, 0, 0, 0, 'x'}, "a long blob": {255, 255, 255, 254},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, _ := serve(t, []byte("x"), func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
			})
			require.Error(t, s.Blobs(t.Context(), []ref.Blob{nobodys}, func(int, []byte) error { return nil }))
			_, err := s.HasBlobs(t.Context(), []ref.ETag{nobodys.ETag})
			require.True(t, err != nil || len(body) > 0)
		})
	}
}

func TestQuestionsThatAreNone(t *testing.T) {
	t.Parallel()
	s, _, _ := serve(t, []byte("x"), nil)
	for _, body := range []string{"", "\x05hello", "\x14short", strings.Repeat("\x14"+strings.Repeat("x", 20), MaxBatch+1)} {
		resp, err := http.Post(s.origin+PathBatch, "", strings.NewReader(body))
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	}
}

func FuzzETags(f *testing.F) {
	f.Add([]byte("\x14aaaaaaaaaaaaaaaaaaaa\x20bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"))
	f.Add([]byte{20})
	f.Fuzz(func(t *testing.T, body []byte) {
		etags, err := decodeETags(body, 100)
		if err != nil {
			return
		}
		again, err := encodeETags(etags, func(e ref.ETag) ref.ETag { return e })
		require.NoError(t, err)
		require.Equal(t, body, again)
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'}, int64(5))
	f.Add(binary.LittleEndian.AppendUint32(nil, absent), int64(5))
	f.Fuzz(func(t *testing.T, body []byte, size int64) {
		s := &Source{name: "near"}
		data, err := s.readFrame(bytes.NewReader(body), ref.Blob{Size: size})
		if err == nil && data != nil {
			require.Len(t, data, int(size))
		}
	})
}
