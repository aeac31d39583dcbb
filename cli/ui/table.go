package ui

import (
	"io"
	"regexp"
	"strings"
)

// Table writes rows under a head in columns as wide as their widest cell;
// columns of numbers stand right. The standard library's tabwriter counts
// characters where a terminal counts cells, which is why it is not used. An
// empty head is left out.
func Table(w io.Writer, head []string, rows [][]string) {
	var all [][]string
	if len(head) > 0 {
		all = append(all, head)
	}
	all = cleanRows(append(all, rows...))
	columns := measure(all, cleanRows(rows))
	var b strings.Builder
	for _, row := range all {
		b.WriteString(tableLine(row, columns))
	}
	_, _ = io.WriteString(w, b.String()) // a reader who left needs no table
}

type column struct {
	cells   int
	numeric bool
}

// measure finds the columns' widths from all lines, and which of them are
// numeric from those below the head.
func measure(all, body [][]string) []column {
	var columns []column
	for _, row := range all {
		for i, cell := range row {
			if i == len(columns) {
				columns = append(columns, column{numeric: isNumeric(body, i)})
			}
			columns[i].cells = max(columns[i].cells, cells(cell))
		}
	}
	return columns
}

// number is a number with perhaps a unit: 12, 1,024, 98%, 1.4 GB, 51 MB/s,
// 3 hours, 1m 20s. Addresses, versions and ids are not.
var number = regexp.MustCompile(`^[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?(%| ?[kMGTPE]?B(/s)?| [a-z]+|(ms|[smhd])( \d+[smh])?)?$`)

// isNumeric asks for at least one number and no other text; a cell may be empty
// or a dash.
func isNumeric(body [][]string, i int) bool {
	found := false
	for _, row := range body {
		if i >= len(row) || row[i] == "" || row[i] == "-" {
			continue
		}
		if !number.MatchString(row[i]) {
			return false
		}
		found = true
	}
	return found
}

func tableLine(row []string, columns []column) string {
	padded := make([]string, len(row))
	for i, cell := range row {
		if columns[i].numeric {
			padded[i] = padLeft(cell, columns[i].cells)
		} else {
			padded[i] = padRight(cell, columns[i].cells)
		}
	}
	return strings.TrimRight(strings.Join(padded, gap), " ") + "\n"
}

func cleanRows(rows [][]string) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = make([]string, len(row))
		for j, cell := range row {
			out[i][j] = Clean(cell)
		}
	}
	return out
}
