package cache

import (
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

// TestRemoveLeavesWhatAnotherProgramHasOpen: one that reads a file, and one that has
// mapped it and closed it, as those do that load weights.
func TestRemoveLeavesWhatAnotherProgramHasOpen(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"open":   `f = open(sys.argv[1], "rb")`,
		"mapped": `f = open(sys.argv[1], "rb"); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); f.close()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, common, old := twoVersions(t)
			path := c.abs(demo.Folder() + "/" + snapshotPath(commitA, old.Path))
			reader := exec.Command("python3", "-c", "import mmap, sys\n"+script+"\nprint('ready', flush=True)\nsys.stdin.read()", path)
			in, err := reader.StdinPipe()
			require.NoError(t, err)
			out, err := reader.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, reader.Start())
			t.Cleanup(func() { _, _ = in.Close(), reader.Wait() })
			_, err = io.ReadFull(out, make([]byte, len("ready")))
			require.NoError(t, err)

			_, err = c.Remove(t.Context(), Removal{Repo: demo, Path: old.Path})
			var busy *BusyError
			require.ErrorAs(t, err, &busy)
			require.Contains(t, busy.Error(), "model.bin is open in python3 (pid ")
			require.FileExists(t, path)
			remove(t, c, Removal{Repo: demo, Path: common.Path, Commits: []ref.Commit{commitA}}) // nobody reads that

			require.NoError(t, in.Close())
			require.NoError(t, reader.Wait())
			remove(t, c, Removal{Repo: demo, Path: old.Path})
			require.NoFileExists(t, path)
		})
	}
}
