package index

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// childDir tells the test binary, started again by itself, which index to work
// on until it is killed.
const childDir = "HFFS_TEST_INDEX"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Println("error:", putForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// putForever says each number when the index has it.
func putForever(dir string) error {
	x, err := Open(Config{Dir: dir, flushRows: 100})
	if err != nil {
		return err
	}
	next := x.next
	for i := uint64(next); ; i++ {
		t := &testing.T{}
		if err := x.Put(etagOf(i), made(t, i, int(i%250))); err != nil {
			return err
		}
		fmt.Println("put", i)
		if i%5 == 0 {
			x.Forget(etagOf(i))
			fmt.Println("forgot", i)
		}
		if i%20 == 0 {
			if err := x.Tidy(context.Background()); err != nil {
				return err
			}
		}
	}
}

// TestKilled kills a process that fills an index, again and again, and looks
// whether all is there that it said was.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holds := map[uint64]bool{}
	for range 6 {
		fill(t, dir, 1+rand.IntN(40), holds)
		x, err := Open(Config{Dir: dir, flushRows: 100})
		require.NoError(t, err)
		newest := slices.Max(slices.Collect(maps.Keys(holds)))
		for i, held := range holds {
			if i+100 < newest && i%31 != 0 {
				continue // for the sake of time
			}
			if held {
				requireHeld(t, x, etagOf(i), made(t, i, int(i%250)))
			} else {
				requireGone(t, x, etagOf(i), made(t, i, int(i%250)))
			}
		}
		require.NoError(t, x.Close())
	}
	require.Greater(t, len(holds), 25)
}

// fill runs the child until it has said so many things, and notes what it said.
func fill(t *testing.T, dir string, says int, holds map[uint64]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for said := 0; lines.Scan(); said++ {
		var what string
		var i uint64
		_, err := fmt.Sscan(lines.Text(), &what, &i)
		require.NoError(t, err, lines.Text())
		holds[i] = what == "put"
		if said == says {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	_, _ = io.Copy(io.Discard, out)
	require.Error(t, cmd.Wait(), "it was killed")
}
