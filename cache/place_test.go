package cache

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the table has POSIX paths")
	}
	cases := map[string]struct {
		env  map[string]string
		want Place
	}{
		"nothing set": {
			env:  map[string]string{},
			want: Place{"/h/.cache/huggingface", "/h/.cache/huggingface/hub", "/h/.cache/huggingface/hffs", "/h/.cache/huggingface/token", false},
		},
		"empty is not set": {
			env:  map[string]string{"HF_HOME": "", "HF_HUB_CACHE": ""},
			want: Place{"/h/.cache/huggingface", "/h/.cache/huggingface/hub", "/h/.cache/huggingface/hffs", "/h/.cache/huggingface/token", false},
		},
		"XDG_CACHE_HOME": {
			env:  map[string]string{"XDG_CACHE_HOME": "/x"},
			want: Place{"/x/huggingface", "/x/huggingface/hub", "/x/huggingface/hffs", "/x/huggingface/token", false},
		},
		"HF_HOME wins over XDG_CACHE_HOME": {
			env:  map[string]string{"XDG_CACHE_HOME": "/x", "HF_HOME": "~/hf"},
			want: Place{"/h/hf", "/h/hf/hub", "/h/hf/hffs", "/h/hf/token", false},
		},
		"old name of the cache": {
			env:  map[string]string{"HUGGINGFACE_HUB_CACHE": "/c/hub"},
			want: Place{"/h/.cache/huggingface", "/c/hub", "/c/hffs", "/h/.cache/huggingface/token", false},
		},
		"new name wins": {
			env:  map[string]string{"HUGGINGFACE_HUB_CACHE": "/c/hub", "HF_HUB_CACHE": "/d/hub"},
			want: Place{"/h/.cache/huggingface", "/d/hub", "/d/hffs", "/h/.cache/huggingface/token", false},
		},
		"variables in variables": {
			env:  map[string]string{"HF_HOME": "$DATA/hf", "HF_TOKEN_PATH": "${DATA}/t/$NOPE", "HFFS_HOME": "~", "DATA": "/data"},
			want: Place{"/data/hf", "/data/hf/hub", "/h", "/data/t/$NOPE", false},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Locate(func(k string) string {
				if k == "HOME" {
					return "/h"
				}
				return c.env[k]
			})
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestLocateKeepsOurStateOutOfTheCache(t *testing.T) {
	t.Parallel()
	hub := filepath.Join(t.TempDir(), "hub")
	for _, state := range []string{hub, filepath.Join(hub, "hffs"), filepath.Join(hub, "..", "hub", "..hffs")} {
		env := map[string]string{"HOME": "/h", "HF_HUB_CACHE": hub, "HFFS_HOME": state}
		_, err := Locate(func(k string) string { return env[k] })
		require.ErrorContains(t, err, "lies inside", state)
		_, err = Open(Config{Dir: hub, State: state})
		require.ErrorContains(t, err, "lies inside", state)
		require.NoDirExists(t, hub)
	}
}
