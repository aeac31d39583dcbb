package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"hffs/gossip/manifest"
)

// Every member's memberlist meta, big endian:
//
//	1  version of this layout, 1
//	1  length of what follows, without the padding
//	2  port of the HTTP door
//	1  life: how many memberships this process had before
//	8  epoch   \
//	8  seq      > of its manifest
//	8  check   /
//	4  files that the manifest stands for
//	8  their bytes
//	1+ name
//	1+ program version
//	…  fields of later versions, then padding
//
// The padding is random in length because memberlist's broadcast queue takes
// two messages of the same length for the same message now and then, and loses
// one; all alive messages would be equally long.
const (
	metaVersion = 1
	metaFixed   = 2 + 1 + 8 + 8 + 8 + 4 + 8
	maxName     = 32
	maxProgram  = 16
	maxPad      = 127 // 64 lengths were too few when 50 nodes began together
	maxMeta     = 512 // memberlist's own bound

	// More than this nobody has; who says so is not believed anything else.
	maxMetaFiles = 1 << 28
	maxMetaBytes = 1 << 57
)

type meta struct {
	door    uint16
	life    uint8
	version manifest.Version
	check   manifest.Check
	files   uint32
	bytes   uint64
	name    string
	program string
}

// encode writes the meta with up to pad bytes of padding.
func (m meta) encode(pad int) []byte {
	b := []byte{metaVersion, 0}
	b = binary.BigEndian.AppendUint16(b, m.door)
	b = append(b, m.life)
	b = binary.BigEndian.AppendUint64(b, m.version.Epoch)
	b = binary.BigEndian.AppendUint64(b, m.version.Seq)
	b = append(b, m.check[:]...)
	b = binary.BigEndian.AppendUint32(b, m.files)
	b = binary.BigEndian.AppendUint64(b, m.bytes)
	for _, s := range []string{m.name[:min(len(m.name), maxName)], m.program[:min(len(m.program), maxProgram)]} {
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	b[1] = byte(len(b) - 2)
	return append(b, make([]byte, rand.IntN(pad+1))...)
}

var errMeta = errors.New("malformed meta")

func decodeMeta(b []byte) (m meta, err error) {
	switch {
	case len(b) > maxMeta || len(b) < 2+metaFixed+2 || int(b[1]) > len(b)-2 || int(b[1]) < metaFixed+2:
		return m, errMeta
	case b[0] != metaVersion:
		return m, fmt.Errorf("%w: unknown version %d", errMeta, b[0])
	}
	b = b[2 : 2+int(b[1])]
	m.door = binary.BigEndian.Uint16(b)
	m.life = b[2]
	m.version.Epoch = binary.BigEndian.Uint64(b[3:])
	m.version.Seq = binary.BigEndian.Uint64(b[11:])
	copy(m.check[:], b[19:])
	m.files = binary.BigEndian.Uint32(b[27:])
	m.bytes = binary.BigEndian.Uint64(b[31:])
	b = b[metaFixed:]
	for _, s := range []*string{&m.name, &m.program} {
		if len(b) < 1 || int(b[0]) > len(b)-1 {
			return meta{}, errMeta
		}
		*s, b = cleanName(string(b[1:1+b[0]])), b[1+b[0]:]
	}
	return m, m.sane()
}

func (m meta) sane() error {
	switch {
	case m.door == 0:
		return fmt.Errorf("%w: no door", errMeta)
	case m.version.Seq > 1<<62 || m.version.Epoch > 1<<62:
		return fmt.Errorf("%w: version %s", errMeta, m.version)
	case m.files > maxMetaFiles || m.bytes > maxMetaBytes:
		return fmt.Errorf("%w: %d files of %d bytes", errMeta, m.files, m.bytes)
	}
	return nil
}

// cleanName makes a name that can be printed anywhere.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("-_.+", r):
			return r
		}
		return '-'
	}, s)
	return s[:min(len(s), maxName)]
}
