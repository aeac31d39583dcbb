// Package ui is what people look at in a terminal: one live progress display,
// tables, sizes and times in words, errors with a hint. It knows nothing of the
// rest of hffs and can be read in this order: [Streams] says what there is to
// write to, [Progress] is the display, [Footer] the one that leaves the terminal to
// another program, [Table] and [PrintError] are the rest.
//
// What it promises:
//
//   - Results go to Out, everything else to Err. The display is drawn only on a
//     terminal, colours only where they are wanted, and [Progress.Finish] leaves
//     no trace of it.
//   - No line of the display wraps, however narrow the window: parts of it are
//     dropped instead (layout.go). Widths are counted in cells, so that wide
//     characters in file names count twice.
//   - Names, notes and error texts may come from peers. Each passes through
//     [Clean] on its way, so that none can move the cursor, set a window's title
//     or pass for a line of ours.
//
// The display is drawn with five escape sequences that every terminal of the
// last thirty years knows (screen.go). The progress libraries we looked at keep
// the cursor below their bars and count rows to get back up, which goes wrong
// as soon as a terminal reflows its lines on a resize, and they give each bar
// one line that is cut where it does not fit. Two lines that give up their
// parts in a chosen order would have been written against such a library.
package ui
