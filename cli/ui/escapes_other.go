//go:build !windows

package ui

import "os"

// understandsEscapes goes by TERM, as git and others do: editors and CI runners
// that offer a bare terminal leave it empty or say "dumb".
func understandsEscapes(_ *os.File, term string) bool { return term != "" && term != "dumb" }
