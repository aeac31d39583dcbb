package cas

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hffs/cache/chunk"
)

// A shard is records of 48 bytes, integers little-endian: a header, then for
// each file a head, its terms, and what the head's flags announce; a record that
// begins with 32 bytes of 0xff ends the list of files. What follows describes
// xorbs, which we have ourselves.
const (
	recordLen = 48
	maxShard  = 64 << 20

	flagVerification = 1 << 31 // as many records as terms
	flagSHA256       = 1 << 30 // one record
)

var shardTag = []byte("HFRepoMetaData\x00\x55\x69\x67\x45\x6a\x7b\x81\x57\x83\xa5\xbd\xd9\x5c\xcd\xd1\x4a\xa9")

var bookend = bytes.Repeat([]byte{0xff}, 32)

type shardFile struct {
	hash   chunk.Hash
	terms  []Term
	sha256 string
}

func parseShard(r io.Reader) ([]shardFile, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxShard+1))
	if err != nil {
		return nil, err
	}
	if len(data) < recordLen || len(data) > maxShard || !bytes.HasPrefix(data, shardTag) {
		return nil, errors.New("no shard")
	}
	if version := binary.LittleEndian.Uint64(data[32:]); version != 2 {
		return nil, fmt.Errorf("version %d of a shard", version)
	}
	rest := records(data[recordLen:])
	var files []shardFile
	for {
		head, ok := rest.next()
		if !ok {
			return nil, errors.New("the shard's list of files has no end")
		}
		if bytes.HasPrefix(head, bookend) {
			return files, nil
		}
		f, err := rest.file(head)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
}

// records is what is left of a shard.
type records []byte

func (r *records) next() ([]byte, bool) {
	if len(*r) < recordLen {
		return nil, false
	}
	rec := (*r)[:recordLen]
	*r = (*r)[recordLen:]
	return rec, true
}

func (r *records) file(head []byte) (f shardFile, err error) {
	f.hash = chunk.Hash(head[:32])
	flags, n := binary.LittleEndian.Uint32(head[32:]), binary.LittleEndian.Uint32(head[36:])
	// A count is believed only as far as there are records for it.
	if int64(n) > int64(len(*r)/recordLen) {
		return f, fmt.Errorf("file %s claims %d terms", f.hash, n)
	}
	f.terms = make([]Term, n)
	for i := range f.terms {
		rec, _ := r.next()
		f.terms[i] = Term{
			Xorb: chunk.Hash(rec[:32]), Size: int64(binary.LittleEndian.Uint32(rec[36:])),
			Start: int(binary.LittleEndian.Uint32(rec[40:])), End: int(binary.LittleEndian.Uint32(rec[44:])),
		}
	}
	for i := 0; flags&flagVerification != 0 && i < int(n); i++ {
		if _, ok := r.next(); !ok {
			return f, fmt.Errorf("file %s lacks its verification", f.hash)
		}
	}
	if flags&flagSHA256 != 0 {
		rec, ok := r.next()
		if !ok {
			return f, fmt.Errorf("file %s lacks its sha256", f.hash)
		}
		// Written like Xet's own hashes, eight bytes reversed at a time: its
		// string form is the sha256 in hex.
		f.sha256 = chunk.Hash(rec[:32]).String()
	}
	return f, nil
}
