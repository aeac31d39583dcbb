package doctor

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
)

// How much room there should be, in bytes: less than the first is a worry with models,
// less than the second nothing fits.
const (
	roomFine  = 5 << 30
	roomLeast = 100 << 20
)

// settings: do commands go by what the user has written down?
func settings(_ context.Context, w World) []Line {
	path, err := w.Settings()
	if err != nil {
		return []Line{fail(err.Error(), "mend the line, or remove "+path+": nothing needs settings")}
	}
	return []Line{ok("%s is right, or not there", path)}
}

// disk: can files be written, and how many?
func disk(_ context.Context, w World) (lines []Line) {
	for _, f := range w.Folders {
		lines = append(lines, folder(w, f))
	}
	return lines
}

func folder(w World, f Folder) Line {
	if err := w.Write(f.Path); err != nil {
		if f.Models && w.Read(f.Path) == nil {
			return warn(fmt.Sprintf("%s, %s, can be read and shared, not written: %v", f.For, f.Path, err),
				"to fetch something new, let "+f.Variable+" choose another folder")
		}
		return fail(fmt.Sprintf("%s, %s, cannot be written: %v", f.For, f.Path, err), f.Variable+" chooses another folder")
	}
	free, err := w.Free(f.Path)
	if err != nil {
		return warn(fmt.Sprintf("%s, %s: how much is free is not known: %v", f.For, f.Path, err), "is that disk all right?")
	}
	text := fmt.Sprintf("%s, %s: %s free", f.For, f.Path, humanize.Bytes(uint64(max(0, free))))
	switch {
	case free < roomLeast:
		return fail(text, "free some room, or let "+f.Variable+" point to another disk")
	case f.Models && free < roomFine:
		return warn(text, "models are large: free some room, or let "+f.Variable+" point to another disk")
	}
	return ok("%s", text)
}
