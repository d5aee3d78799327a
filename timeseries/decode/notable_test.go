package decode

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Who takes another kind of file for a table is told what it is and what to do.
func TestFilesThatAreNoTables(t *testing.T) {
	t.Parallel()
	zipped := func(name string) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		if w, err := z.Create(name); err != nil {
			t.Fatal(err)
		} else if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for text, wants := range map[string][]string{
		zipped("[Content_Types].xml"): {"Excel workbook (.xlsx)", "as CSV"},
		zipped("lap.csv"):             {"zip archive", "unpack"},
		"%PDF-1.7\n%\xe2\xe3":         {"PDF", "CSV"},
		"<?xml version=\"1.0\"?>\n<!-- x -->\n<gpx version=\"1.1\">": {"GPX track", "CSV"},
		"\ufeff\n<!DOCTYPE html>\n<html><body>sign in":               {"web page", "signing in"},
		"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":                           {".xls", "as CSV"},
		"\x0e\x10\x43\x08\x28\x06\x00\x00.FIT\x00\x00":               {"FIT", "CSV"},
	} {
		b := NewBatch()
		err := New(strings.NewReader(text), Options{Format: FormatCSV, SessionID: "a"}).Next(b, 10)
		b.Release()
		if !fault.Is(err, fault.Invalid) {
			t.Fatalf("%.20q: %v", text, err)
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.20q: %v; want it to say %q", text, err, want)
			}
		}
	}
	for _, text := range []string{"timestamp,<html>\n2026-06-03T10:00:00Z,1\n", "timestamp,note\n2026-06-03T10:00:00Z,PK%PDF-\n"} {
		b := NewBatch()
		if err := New(strings.NewReader(text), Options{Format: FormatCSV, SessionID: "a"}).Next(b, 10); err == nil || b.Len() != 1 {
			t.Errorf("%q: %d records, %v", text, b.Len(), err)
		}
		b.Release()
	}
}
