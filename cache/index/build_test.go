package index

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// scan is what another reading of the same bytes finds.
func scan(t testing.TB, content []byte) (current, legacy chunk.Map) {
	t.Helper()
	maps, err := chunk.Scan(t.Context(), bytes.NewReader(content), int64(len(content)), chunk.ScanOptions{}, chunk.Current, chunk.Legacy)
	require.NoError(t, err)
	return maps[0], maps[1]
}

func xetOf(m chunk.Map) ref.XetHash { return ref.XetHash(m.FileHash().String()) }

// builders are the two ways to build, which must not differ.
var builders = map[string]func(*Index, context.Context, Blob) error{
	"background": (*Index).Build,
	"now":        (*Index).BuildNow,
}

func TestBuildsWhatTheXetHashSays(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, 3_000_000)
	current, legacy := scan(t, content)
	require.NotEqual(t, current, legacy, "the rules differ here")
	for name, build := range builders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := open(t, t.TempDir())
			b := blobAt(t, filepath.Join(t.TempDir(), "blob"), content)

			b.Xet = xetOf(legacy)
			require.NoError(t, build(x, t.Context(), b))
			requireHeld(t, x, b.ETag, legacy)
			_, err := x.MapOf(xetOf(current))
			require.ErrorIs(t, err, ErrUnknown, "what no hash confirms is not kept")
			require.Empty(t, x.Reconcile([]Blob{b}))

			b.Xet = xetOf(current)
			require.NoError(t, build(x, t.Context(), b))
			requireHeld(t, x, b.ETag, current)
		})
	}
}

func TestBuildsBothWhereNobodyKnows(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, 3_000_000)
	current, legacy := scan(t, content)
	for name, xet := range map[string]ref.XetHash{"no hash": "", "a hash of neither rule": xetOf(made(t, 9, 5))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			x := open(t, dir)
			b := blobAt(t, filepath.Join(t.TempDir(), "blob"), content)
			b.Xet = xet
			require.Equal(t, []Blob{b}, x.Reconcile([]Blob{b}))
			require.NoError(t, x.Build(t.Context(), b))
			require.Empty(t, x.Reconcile([]Blob{b}), "there is no more to learn")
			for range 2 {
				requireHeld(t, x, b.ETag, current)
				for i, places := range x.Find(hashesOf(legacy)) {
					require.Equal(t, []Place{{b.ETag, legacy.Offset(i), int(legacy.Length(i))}}, places)
				}
				m, err := x.MapOf(xetOf(legacy))
				require.NoError(t, err)
				require.Equal(t, legacy, m)
				require.NoError(t, x.Close())
				x = open(t, dir)
			}
			require.Less(t, len(x.table.runs[0].fences)*pageRows, 1000)
			require.Less(t, x.table.runs[0].rows, int64(current.Len()+legacy.Len()), "what both rules cut has one row")
		})
	}
}

func TestOneMapWhereTheRulesAgree(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	b := blobAt(t, filepath.Join(t.TempDir(), "blob"), make([]byte, 1<<20))
	require.NoError(t, x.Build(t.Context(), b))
	require.Len(t, x.byETag[b.ETag].maps, 1)
	current, _ := scan(t, make([]byte, 1<<20))
	got, err := x.MapOf(xetOf(current))
	require.NoError(t, err)
	require.Equal(t, current, got)
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	big := Blob{ETag: etagOf(1), Size: 1 << 20}
	small := Blob{ETag: etagOf(2), Size: MinSize - 1}
	proven := Blob{ETag: etagOf(3), Size: made(t, 3, 10).Size(), Xet: xetOf(made(t, 3, 10))}
	require.NoError(t, x.Put(proven.ETag, made(t, 3, 10)))
	require.NoError(t, x.Put(etagOf(4), made(t, 4, 10)))
	require.Equal(t, []Blob{big}, x.Reconcile([]Blob{big, small, proven, big}))
	requireHeld(t, x, proven.ETag, made(t, 3, 10))
	requireGone(t, x, etagOf(4), made(t, 4, 10))
	proven.Xet = xetOf(made(t, 5, 1))
	require.Equal(t, []Blob{proven}, x.Reconcile([]Blob{proven}), "what was put has another hash")
}

func TestNothingIsBuiltOfWhatChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", bytesOf(2, 1<<20), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
		"written into": func(path string) error { return os.WriteFile(path, bytesOf(2, 1<<20), 0o644) },
		"cut short":    func(path string) error { return os.Truncate(path, 1000) },
	} {
		for way, build := range builders {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				x := open(t, t.TempDir())
				b := blobAt(t, filepath.Join(t.TempDir(), "blob"), bytesOf(1, 1<<20))
				require.NoError(t, change(b.Path))
				require.ErrorIs(t, build(x, t.Context(), b), ErrChanged)
				_, err := x.Map(b.ETag)
				require.ErrorIs(t, err, ErrUnknown)
			})
		}
	}
}

// TestChangesWhileItIsRead stops in the middle of reading, for as long as somebody
// writes into the file.
func TestChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	for name, change := range map[string]func(path string) error{
		"cut short": func(path string) error { return os.Truncate(path, 1000) },
		"longer":    func(path string) error { return os.Truncate(path, 2<<20) },
	} {
		b := blobAt(t, filepath.Join(t.TempDir(), "blob"), bytesOf(1, 1<<20))
		_, err := cutUnchanged(b, func(f io.ReaderAt) ([]chunk.Map, error) {
			require.NoError(t, change(b.Path))
			return x.cutSlowly(t.Context(), f, b.Size)
		})
		require.ErrorIs(t, err, ErrChanged, name)
	}
}

func TestBuildStops(t *testing.T) {
	t.Parallel()
	x, err := Open(Config{Dir: t.TempDir(), Rate: chunk.ScanPiece}) // a piece a second
	require.NoError(t, err)
	defer x.Close()
	b := blobAt(t, filepath.Join(t.TempDir(), "blob"), bytesOf(1, 100<<20))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- x.Build(ctx, b) }()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}
