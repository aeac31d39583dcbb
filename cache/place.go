package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Place says where things live on this machine.
type Place struct {
	Home      string // the Hugging Face home
	Hub       string // the Hugging Face cache, which other tools use too
	State     string // what hffs keeps for itself, never inside Hub
	TokenPath string // the file that holds the user's token, if any
}

// Locate reads the environment as huggingface_hub does, so that both find the
// same cache. A variable that is set but empty counts as not set. HFFS_HOME
// moves our own state, which otherwise lies in the folder "hffs" beside the cache.
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
	return p.absolute()
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
	if p.State == "" {
		p.State = defaultState(p.Hub)
	}
	return p, checkState(p.Hub, p.State)
}

func defaultState(hub string) string { return filepath.Join(filepath.Dir(hub), "hffs") }

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
