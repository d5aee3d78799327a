package decode_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/decode"
)

func gunzip(packed io.Reader) (io.ReadCloser, error) { return gzip.NewReader(packed) }

// A file is told by what is in it: its id is that of the team's importer, packed
// or not.
func TestFileID(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("timestamp,speed_ms\n2026-06-03T10:00:00Z,5\n"), 10_000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(text)
	_ = z.Close()
	of := func(content []byte) string {
		sum := sha256.Sum256(append([]byte("Morning run\n"), content...))
		return "csv-morning-run-" + hex.EncodeToString(sum[:])[:12]
	}
	write := func(file string, content []byte, unpack decode.Unpack) *decode.FileID {
		id := decode.NewFileID("", file, unpack)
		for part := range slices.Chunk(content, 1000) {
			if n, err := id.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		return id
	}
	plain, zipped := write("logs/Morning run.csv", text, nil), write("Morning run.csv.gz", packed.Bytes(), gunzip)
	for _, id := range []*decode.FileID{plain, zipped} {
		if err := id.Close(); err != nil || id.Close() != nil {
			t.Fatal(err)
		}
	}
	if got := plain.IDs(); !slices.Equal(got, []string{of(text)}) {
		t.Errorf("plain: %v", got)
	}
	if got := zipped.IDs(); !slices.Equal(got, []string{of(text), of(packed.Bytes())}) {
		t.Errorf("packed: %v", got)
	}
	sum := sha256.Sum256(packed.Bytes())
	if a, b := plain.Digests(), zipped.Digests(); len(a) != 1 || len(b) != 2 || !bytes.Equal(a[0], b[0]) || !bytes.Equal(b[1], sum[:]) {
		t.Errorf("digests: %x, %x", a, b)
	}
	for name, broken := range map[string][]byte{"cut short": packed.Bytes()[:packed.Len()/2], "not packed": text, "empty": nil} {
		id := write("x.gz", broken, gunzip)
		if err := id.Close(); err == nil || id.Close() != err {
			t.Errorf("%s: %v", name, err)
		}
	}
}
