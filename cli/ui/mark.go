package ui

// Grade is how good something is, for its colour.
type Grade string

// The grades, as the parameters of the SGR sequence.
const (
	Good     Grade = sgrDone
	Doubtful Grade = "33" // yellow
	Bad      Grade = sgrError
)

// Mark colours a word of the result, where standard output shows colours.
func (s Streams) Mark(g Grade, word string) string {
	if !s.OutTTY || !s.Color || word == "" {
		return word
	}
	return "\x1b[" + string(g) + "m" + word + "\x1b[0m"
}
