package timeseries

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// archiveKind is what a file of an archive holds.
type archiveKind byte

const (
	archivePart     archiveKind = 'p' // every record of a part
	archivePreview  archiveKind = 'v' // 160 records of a part
	archiveOverview archiveKind = 'o' // 1500 records of the session, and its stats
)

// archiveFile says exactly what a file holds: the records of a session from
// first to last (microseconds since the Unix epoch), without those of batches
// after batch, without the first skip of them, and then records many. The
// stats of an overview are part of it, since they are part of its content.
type archiveFile struct {
	kind        archiveKind
	session     int32
	batch       int32
	first, last int64
	skip        uint32
	records     uint64
	stats       *ArchiveStats
}

const (
	archiveNameVersion = 1
	archiveFixed       = 2 + 4 + 4 + 8 + 8 + 4 + 8
	archiveMAC         = 16 // bytes of the HMAC that are kept
)

// name gives the file's signed name, in characters that need no escaping.
func (f archiveFile) name(secret []byte) string {
	b := make([]byte, 0, archiveFixed+statsFigures*8+archiveMAC)
	b = append(b, archiveNameVersion, byte(f.kind))
	b = binary.BigEndian.AppendUint32(b, uint32(f.session))
	b = binary.BigEndian.AppendUint32(b, uint32(f.batch))
	b = binary.BigEndian.AppendUint64(b, uint64(f.first))
	b = binary.BigEndian.AppendUint64(b, uint64(f.last))
	b = binary.BigEndian.AppendUint32(b, f.skip)
	b = binary.BigEndian.AppendUint64(b, f.records)
	if f.stats != nil {
		for _, figure := range f.stats.figures() {
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(*figure))
		}
	}
	return base64.RawURLEncoding.EncodeToString(append(b, archiveSignature(b, secret)...))
}

func archiveSignature(payload, secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(payload)
	return mac.Sum(nil)[:archiveMAC]
}

// errNoArchive hides whether a name was wrong or what it names is gone.
func errNoArchive() error { return fault.New(fault.NotFound, "there is no such archive file") }

// parseArchiveName reads a name made by name with the same secret.
func parseArchiveName(name string, secret []byte) (archiveFile, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(name)
	if err != nil || len(b) < archiveFixed+archiveMAC {
		return archiveFile{}, errNoArchive()
	}
	payload, mac := b[:len(b)-archiveMAC], b[len(b)-archiveMAC:]
	if !hmac.Equal(mac, archiveSignature(payload, secret)) || payload[0] != archiveNameVersion {
		return archiveFile{}, errNoArchive()
	}
	f := archiveFile{
		kind:    archiveKind(payload[1]),
		session: int32(binary.BigEndian.Uint32(payload[2:])),
		batch:   int32(binary.BigEndian.Uint32(payload[6:])),
		first:   int64(binary.BigEndian.Uint64(payload[10:])),
		last:    int64(binary.BigEndian.Uint64(payload[18:])),
		skip:    binary.BigEndian.Uint32(payload[26:]),
		records: binary.BigEndian.Uint64(payload[30:]),
	}
	switch figures := payload[archiveFixed:]; len(figures) {
	case 0:
	case statsFigures * 8:
		f.stats = new(ArchiveStats)
		for i, figure := range f.stats.figures() {
			*figure = math.Float64frombits(binary.BigEndian.Uint64(figures[i*8:]))
		}
	default:
		return archiveFile{}, errNoArchive()
	}
	return f, nil
}
