package hub

import (
	"bufio"
	"io"
)

// withoutMember gives JSON as it comes, without the members of that name, in
// whatever object they stand, and without blanks between tokens. It keeps a few
// kilobytes, however long the JSON. What does not begin like JSON passes unchanged.
func withoutMember(from io.Reader, name string) io.Reader {
	return &memberless{from: bufio.NewReaderSize(from, 32<<10), name: `"` + name + `"`}
}

type memberless struct {
	from *bufio.Reader
	name string // in quotes

	begun   bool
	plain   bool   // it is no JSON
	text    bool   // inside a string
	escaped bool   // the last byte of it was a backslash
	comma   bool   // one that is only written when something follows
	out     []byte // ready to be read
	err     error  // ends it when out is empty
}

// enough is how much is made ready at once.
const enough = 16 << 10

func (m *memberless) Read(p []byte) (int, error) {
	if m.plain && len(m.out) == 0 {
		return m.from.Read(p)
	}
	if len(m.out) == 0 {
		// Where a part has come, nobody waits for the next.
		for m.step(); m.err == nil && !m.plain && len(m.out) < enough && (len(m.out) == 0 || m.from.Buffered() > 0); m.step() {
		}
	}
	if len(m.out) == 0 && m.err != nil {
		return 0, m.err
	}
	n := copy(p, m.out)
	if m.out = m.out[n:]; len(m.out) == 0 {
		m.out = nil
	}
	return n, nil
}

// step takes in a byte, or a member that goes.
func (m *memberless) step() {
	b, err := m.from.ReadByte()
	switch {
	case err != nil:
		m.err = err
	case !m.begun:
		m.begin(b)
	case m.text:
		m.out = append(m.out, b)
		m.text = m.escaped || b != '"'
		m.escaped = b == '\\' && !m.escaped
	default:
		m.token(b)
	}
}

func (m *memberless) begin(b byte) {
	if isBlank(b) {
		return
	}
	m.begun = true
	if m.plain = b != '{' && b != '['; m.plain {
		_ = m.from.UnreadByte()
		return
	}
	m.token(b)
}

func (m *memberless) token(b byte) {
	switch {
	case isBlank(b):
		return
	case b == ',':
		m.writeComma()
		m.comma = true
		return
	case b == '"' && m.atMember():
		return
	}
	m.writeComma()
	m.out = append(m.out, b)
	m.text = b == '"'
}

func (m *memberless) writeComma() {
	if m.comma {
		m.out, m.comma = append(m.out, ','), false
	}
}

// atMember looks whether the string that has just begun is the name of a member
// that goes, and goes past that.
func (m *memberless) atMember() bool {
	for i := 1; i < len(m.name); i++ { // one by one: what differs needs no waiting for more
		if next, _ := m.from.Peek(i); len(next) < i || next[i-1] != m.name[i] {
			return false
		}
	}
	_, _ = m.from.Discard(len(m.name) - 1)
	if b, err := m.visible(); err != nil || b != ':' {
		if err == nil {
			_ = m.from.UnreadByte()
		}
		m.writeComma()
		m.out = append(m.out, m.name...) // a value that reads the same
		return true
	}
	m.skipValue()
	m.skipComma()
	return true
}

// skipComma: of the commas before and after a member that goes, one stays, and none
// where there is nothing on the other side.
func (m *memberless) skipComma() {
	b, err := m.visible()
	switch {
	case err != nil:
		m.err = err
	case b != ',':
		_ = m.from.UnreadByte()
		m.comma = false
	}
}

// visible is the next byte that is no blank.
func (m *memberless) visible() (byte, error) {
	for {
		if b, err := m.from.ReadByte(); err != nil || !isBlank(b) {
			return b, err
		}
	}
}

// skipValue goes past a value: to the end of a string, to the bracket that closes
// an object, or to what follows a number or word.
func (m *memberless) skipValue() {
	for depth := 0; ; {
		b, err := m.from.ReadByte()
		if err != nil {
			m.err = err
			return
		}
		switch b {
		case '"':
			m.skipText()
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		}
		switch {
		case depth < 0 || depth == 0 && b == ',':
			_ = m.from.UnreadByte()
			return
		case depth == 0 && (b == '"' || b == '}' || b == ']'), m.err != nil:
			return
		}
	}
}

func (m *memberless) skipText() {
	for escaped := false; ; {
		b, err := m.from.ReadByte()
		if err != nil {
			m.err = err
			return
		}
		if b == '"' && !escaped {
			return
		}
		escaped = b == '\\' && !escaped
	}
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }
