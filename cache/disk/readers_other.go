//go:build !linux

package disk

// OpenElsewhere finds nobody: Windows itself keeps an open file from being removed, and
// macOS leaves a removed one to those who have it open.
func OpenElsewhere([]string) (path, program string, ok bool) { return "", "", false }
