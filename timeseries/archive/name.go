package archive

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// kind is what a file of an archive holds.
type kind byte

const (
	kindPart     kind = 'p' // every record of a part
	kindPreview  kind = 'v' // 160 records of a part
	kindOverview kind = 'o' // 1500 records of the session, and its stats
)

// content says exactly what a file holds: the records of a session from
// first to last (microseconds since the Unix epoch), without those of batches
// after batch, without the first skip of them, and then records many. The
// stats of an overview are part of it, since they are part of its content.
type content struct {
	kind        kind
	session     int32
	batch       int32
	first, last int64
	skip        uint32
	records     uint64
	stats       *Stats
}

const (
	nameVersion = 1
	fixedBytes  = 2 + 4 + 4 + 8 + 8 + 4 + 8
	macBytes    = 16 // bytes of the HMAC that are kept
)

// name returns the file's signed name, in characters that need no escaping.
func (f content) name(secret []byte) string {
	b := make([]byte, 0, fixedBytes+statsFigures*8+macBytes)
	b = append(b, nameVersion, byte(f.kind))
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
	return base64.RawURLEncoding.EncodeToString(append(b, signature(b, secret)...))
}

func signature(payload, secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(payload)
	return mac.Sum(nil)[:macBytes]
}

// errNoFile hides whether a name was wrong or what it names is gone.
func errNoFile() error { return fault.New(fault.NotFound, "there is no such archive file") }

// parseName reads a name made by name with the same secret.
func parseName(name string, secret []byte) (content, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(name)
	if err != nil || len(b) < fixedBytes+macBytes {
		return content{}, errNoFile()
	}
	payload, mac := b[:len(b)-macBytes], b[len(b)-macBytes:]
	if !hmac.Equal(mac, signature(payload, secret)) || payload[0] != nameVersion {
		return content{}, errNoFile()
	}
	f := content{
		kind:    kind(payload[1]),
		session: int32(binary.BigEndian.Uint32(payload[2:])),
		batch:   int32(binary.BigEndian.Uint32(payload[6:])),
		first:   int64(binary.BigEndian.Uint64(payload[10:])),
		last:    int64(binary.BigEndian.Uint64(payload[18:])),
		skip:    binary.BigEndian.Uint32(payload[26:]),
		records: binary.BigEndian.Uint64(payload[30:]),
	}
	switch figures := payload[fixedBytes:]; len(figures) {
	case 0:
	case statsFigures * 8:
		f.stats = new(Stats)
		for i, figure := range f.stats.figures() {
			*figure = math.Float64frombits(binary.BigEndian.Uint64(figures[i*8:]))
		}
	default:
		return content{}, errNoFile()
	}
	return f, nil
}
