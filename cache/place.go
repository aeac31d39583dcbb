package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"hffs/cache/disk"
)

// Place says where things live on this machine.
type Place struct {
	Home      string // the Hugging Face home
	Hub       string // the Hugging Face cache, which other tools use too
	State     string // what hffs keeps for itself, never inside Hub
	TokenPath string // the file that holds the user's token, if any
	Moved     bool   // State is not beside the cache, where it cannot be written
}

// Locate reads the environment as huggingface_hub does, so that both find the
// same cache. A variable that is set but empty counts as not set. HFFS_HOME
// moves our own state, which otherwise lies in the folder "hffs" beside the cache, or,
// where that cannot be written, as on a shelf that many share, in a folder of the user's
// own: one for each such cache.
func Locate(getenv func(string) string) (Place, error) {
	home, err := userHome(getenv)
	if err != nil {
		return Place{}, err
	}
	first := func(fallback string, names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return expand(v, home, getenv)
			}
		}
		return fallback
	}
	var p Place
	cacheHome := first(filepath.Join(home, ".cache"), "XDG_CACHE_HOME")
	p.Home = first(filepath.Join(cacheHome, "huggingface"), "HF_HOME")
	p.Hub = first(filepath.Join(p.Home, "hub"), "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
	p.TokenPath = first(filepath.Join(p.Home, "token"), "HF_TOKEN_PATH")
	p.State = first("", "HFFS_HOME")
	if p, err = p.absolute(); err != nil {
		return Place{}, err
	}
	if p.State == "" {
		p.State, p.Moved = usualState(p.Hub, cacheHome)
	}
	return p, checkState(p.Hub, p.State)
}

func (p Place) absolute() (Place, error) {
	var err error
	for _, s := range []*string{&p.Home, &p.Hub, &p.State, &p.TokenPath} {
		if *s == "" {
			continue
		}
		if *s, err = filepath.Abs(*s); err != nil {
			return Place{}, fmt.Errorf("locate the cache: %w", err)
		}
	}
	return p, nil
}

func defaultState(hub string) string { return filepath.Join(filepath.Dir(hub), "hffs") }

// usualState is the default, and where it has moved to when that cannot be written, but
// the other can.
func usualState(hub, cacheHome string) (state string, moved bool) {
	state = defaultState(hub)
	if err := disk.MayWrite(state); err == nil || !disk.IsNotWritable(err) {
		return state, false
	}
	sum := sha256.Sum256([]byte(hub))
	other, err := filepath.Abs(filepath.Join(cacheHome, "hffs", "cache-"+hex.EncodeToString(sum[:4])))
	if err != nil || checkState(hub, other) != nil || disk.MayWrite(other) != nil {
		return state, false
	}
	return other, true
}

// checkState keeps our files out of the cache, where scanners would call them
// corrupt repos.
func checkState(hub, state string) error {
	rel, err := filepath.Rel(hub, state)
	if err != nil {
		return nil // on another drive
	}
	if rel == "." || (rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))) {
		return fmt.Errorf("the folder for hffs' own state, %s, lies inside the Hugging Face cache %s; set HFFS_HOME to a folder outside of it", state, hub)
	}
	return nil
}

func userHome(getenv func(string) string) (string, error) {
	for _, n := range []string{"HOME", "USERPROFILE"} {
		if v := getenv(n); v != "" {
			return v, nil
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("locate the cache: %w", err)
	}
	return home, nil
}

// expand does what Python's expanduser and expandvars do: a leading "~" is the
// home folder, $NAME and ${NAME} are replaced, unknown ones stay as they are.
func expand(s, home string, getenv func(string) string) string {
	if s == "~" || strings.HasPrefix(s, "~/") || strings.HasPrefix(s, "~"+string(filepath.Separator)) {
		s = home + s[1:]
	}
	return os.Expand(s, func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return "$" + name
	})
}
