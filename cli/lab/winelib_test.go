package lab

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"os"
	"path/filepath"
)

// Wine of Debian 12 lacks one library that every program written in Go asks for, and
// that has one function: random bytes. Another library of it has the same under
// another name. So what is missing is a library without any code, whose only export
// is a note "see there".
const (
	missingLibrary  = "bcryptprimitives.dll"
	missingFunction = "ProcessPrng"
	sameElsewhere   = "advapi32.SystemFunction036" // the true name of RtlGenRandom
)

// completeWine puts the missing library into a wine prefix that lacks it.
func completeWine(prefix string) error {
	path := filepath.Join(prefix, "drive_c", "windows", "system32", missingLibrary)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return os.WriteFile(path, signpost(missingLibrary, missingFunction, sameElsewhere), 0o644)
}

// How a library lies in its file and in memory.
const (
	libraryPage   = 0x1000
	librarySector = 0x200
	libraryBase   = 0x180000000
)

// signpost is a library for 64-bit Windows whose one function is that of another.
func signpost(library, function, target string) []byte {
	var exports, out bytes.Buffer
	put := func(to *bytes.Buffer, v any) { _ = binary.Write(to, binary.LittleEndian, v) } // a buffer takes all
	const tables = libraryPage + 40                                                       // behind the directory: three tables of one entry
	texts := uint32(tables + 12)
	functionAt := texts + uint32(len(library)) + 1
	targetAt := functionAt + uint32(len(function)) + 1
	put(&exports, []uint32{0, 0, 0, texts, 1, 1, 1, tables, tables + 4, tables + 8})
	put(&exports, []uint32{targetAt, functionAt, 0})
	exports.WriteString(library + "\x00" + function + "\x00" + target + "\x00")
	size := uint32(exports.Len())

	const dosLen = 64
	dos := make([]byte, dosLen)
	copy(dos, "MZ")
	dos[dosLen-4] = dosLen // where the real header is
	out.Write(dos)
	out.WriteString("PE\x00\x00")
	h := pe.OptionalHeader64{
		Magic: 0x20b, ImageBase: libraryBase, SectionAlignment: libraryPage, FileAlignment: librarySector,
		MajorOperatingSystemVersion: 6, MajorSubsystemVersion: 6, Subsystem: pe.IMAGE_SUBSYSTEM_WINDOWS_CUI,
		SizeOfImage: 2 * libraryPage, SizeOfHeaders: librarySector, SizeOfInitializedData: librarySector,
		DllCharacteristics: pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT, NumberOfRvaAndSizes: 16,
	}
	h.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT] = pe.DataDirectory{VirtualAddress: libraryPage, Size: size}
	put(&out, pe.FileHeader{
		Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1, SizeOfOptionalHeader: uint16(binary.Size(h)),
		Characteristics: pe.IMAGE_FILE_EXECUTABLE_IMAGE | pe.IMAGE_FILE_LARGE_ADDRESS_AWARE | pe.IMAGE_FILE_DLL,
	})
	put(&out, h)
	put(&out, pe.SectionHeader32{
		Name: [8]uint8{'.', 'e', 'd', 'a', 't', 'a'}, VirtualSize: size, VirtualAddress: libraryPage,
		SizeOfRawData: librarySector, PointerToRawData: librarySector,
		Characteristics: pe.IMAGE_SCN_CNT_INITIALIZED_DATA | pe.IMAGE_SCN_MEM_READ,
	})
	out.Write(make([]byte, librarySector-out.Len()))
	out.Write(exports.Bytes())
	out.Write(make([]byte, 2*librarySector-out.Len()))
	return out.Bytes()
}
