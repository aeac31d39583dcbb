package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func likeWindows(cfg *Config) { cfg.LikeWindows = true }

// ways are all by which a file gets its name.
func ways(t *testing.T, c *Cache) map[string]func(path string, content []byte) error {
	return map[string]func(path string, content []byte) error{
		"fetched": func(path string, content []byte) error {
			p, err := c.Begin(t.Context(), lfs(path, content))
			if err != nil {
				return err
			}
			fill(t, p, content)
			_, err = p.Commit(t.Context())
			return err
		},
		"in one piece": func(path string, content []byte) error {
			_, errs := c.KeepWhole(t.Context(), demo, []Whole{{lfs(path, content), content}})
			return errs[0]
		},
		"the same as another": func(path string, content []byte) error {
			fetch(t, c, lfs(fmt.Sprintf("held-%x", content[:8]), content), content)
			_, err := c.Find(t.Context(), lfs(path, content))
			return err
		},
	}
}

func TestNamesThatWindowsCannotHave(t *testing.T) {
	t.Parallel()
	for mode, change := range map[string]func(*Config){"links": func(*Config) {}, "no links": noLinks} {
		c, free := open(t, likeWindows, change), open(t, change)
		for way, put := range ways(t, c) {
			for i, path := range []string{"aux", "data/con.txt", "12:30", "dot.", "folder /x"} {
				err := put(path, bytesOf(uint64(len(way)*100+i), 50))
				var name *NameError
				require.ErrorAs(t, err, &name, "%s, %s, %s", mode, way, path)
				require.Equal(t, path, name.Path)
				require.NoError(t, ways(t, free)[way](path, bytesOf(uint64(len(way)*100+i), 50)), "elsewhere it is a name as any other")
			}
			require.NoError(t, put("auxiliary/"+way, bytesOf(uint64(len(way)), 60)))
		}
		found, err := filepath.Glob(filepath.Join(c.Dir(), demo.Folder(), "snapshots", "*", "*"))
		require.NoError(t, err)
		require.NotEmpty(t, found)
		for _, path := range found {
			require.Regexp(t, `^(auxiliary|held-[0-9a-f]{16})$`, filepath.Base(path), "nothing else was made")
		}
	}
}

// TestCaseTwins: on a disk that takes two names for one, the first file keeps it.
func TestCaseTwins(t *testing.T) {
	t.Parallel()
	for mode, change := range map[string]func(*Config){"links": func(*Config) {}, "no links": noLinks} {
		c := open(t, likeWindows, change)
		first := bytesOf(1, 70)
		path := fetch(t, c, lfs("docs/README.md", first), first)
		for way, put := range ways(t, c) {
			err := put("docs/readme.md", bytesOf(uint64(len(way)), 70))
			require.ErrorContains(t, err, `"docs/README.md" of the same repo is here`, "%s, %s", mode, way)
			require.ErrorContains(t, put("Docs/"+way, bytesOf(uint64(len(way)+50), 70)), `"docs" of the same repo is here`)
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, first, got)
		_, err = c.Find(t.Context(), lfs("docs/README.md", first))
		require.NoError(t, err, "itself is not its twin")
		twin := lfs("docs/readme.md", bytesOf(2, 70))
		twin.Commit = commitB
		fetch(t, c, twin, bytesOf(2, 70)) // another commit has other names
	}
}

// TestLongPaths: what is too long for some programs of Windows is kept all the same.
func TestLongPaths(t *testing.T) {
	t.Parallel()
	for mode, change := range map[string]func(*Config){"links": func(*Config) {}, "no links": noLinks} {
		c := open(t, likeWindows, change)
		content := bytesOf(3, 80)
		deep := strings.Repeat(strings.Repeat("d", 60)+"/", 6) + "model.bin"
		path := fetch(t, c, lfs(deep, content), content)
		require.Greater(t, len(path), 260, mode)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, got)
		found, err := c.Find(t.Context(), lfs(deep, content))
		require.NoError(t, err)
		require.Equal(t, path, found)
	}
}
