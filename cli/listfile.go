package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

// A list file has a repo on each line, with the patterns of those of its files that
// are wanted, where that is not all:
//
//	# what the course needs
//	openai-community/gpt2
//	Qwen/Qwen3-0.6B@v1.0 *.safetensors config.json
//	datasets/squad "plain text/" !*.csv
//
// A pattern behind "!" leaves files out; quotes hold blanks together.

// maxList bounds a list file, in bytes.
const maxList = 2 << 20

// readList reads a list file; "-" is what comes in.
func (a *app) readList(name string) ([]control.Want, error) {
	var in io.Reader = a.ui.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage(err.Error(), "--list takes a file with a repo on each line")
		}
		defer f.Close()
		in = f
	}
	var wants []control.Want
	text, err := io.ReadAll(io.LimitReader(in, maxList+1))
	if err != nil {
		return nil, usage(fmt.Sprintf("%s: %v", name, err), "--list takes a file with a repo on each line")
	}
	if len(text) > maxList {
		return nil, usage(fmt.Sprintf("%s is longer than %s", name, ui.Size(maxList)), "make several lists of it")
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxList+1)
	for n := 1; lines.Scan(); n++ {
		w, ok, err := parseWant(lines.Text())
		if ok && err == nil {
			err = node.CheckOrder(control.Order{Wants: []control.Want{w}})
		}
		if err != nil {
			return nil, usage(fmt.Sprintf("%s, line %d: %v", name, n, err), "a line is [type/]repo[@revision] [patterns…]")
		}
		if ok {
			wants = append(wants, w)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, usage(fmt.Sprintf("%s: %v", name, err), "--list takes a file with a repo on each line")
	}
	if len(wants) == 0 {
		return nil, usage(name+" names no repo", "a line is [type/]repo[@revision] [patterns…]")
	}
	return wants, nil
}

// parseWant reads a line; ok is false where there is nothing on it.
func parseWant(line string) (w control.Want, ok bool, err error) {
	words, err := splitWords(strings.TrimPrefix(line, "\ufeff"))
	if err != nil || len(words) == 0 {
		return w, false, err
	}
	said := spelled(words[0])
	w = control.Want{Repo: said.repo, RepoType: cmp.Or(said.repoType, "model"), Revision: cmp.Or(said.revision, "main")}
	if said.file != "" {
		w.Include = append(w.Include, said.file)
	}
	for _, word := range words[1:] {
		if out, is := strings.CutPrefix(word, "!"); is {
			w.Exclude = append(w.Exclude, out)
		} else {
			w.Include = append(w.Include, word)
		}
	}
	return w, true, nil
}

// splitWords parts a line at blanks outside of quotes; a # at the beginning of a word
// begins a comment.
func splitWords(line string) (words []string, err error) {
	var word strings.Builder
	inWord, quote := false, rune(0)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inWord = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\r'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		case quote == 0 && r == '#' && !inWord:
			return words, nil
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
