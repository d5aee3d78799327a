package decode

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
)

const (
	asSheet   = "save its sheet as CSV (UTF-8)"
	converted = "convert it to CSV, with a column for each of time, lat, lon and what else it has"
	exported  = "export its records as CSV"
	unpacked  = "unpack it, and take the files in it one by one"
	webPage   = "where a download asks for signing in, one is saved in the place of the file"
)

// otherKind is a kind of file that is taken for a table.
type otherKind struct{ mark, what, todo string }

var (
	// beginnings are how such files begin.
	beginnings = []otherKind{
		{"PK\x03\x04", "a zip archive", unpacked},
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)", asSheet},
		{"%PDF-", "a PDF document", exported},
		{"SQLite format 3\x00", "an SQLite database", exported},
		{"MDF     ", "an ASAM MDF measurement", exported},
		{"PAR1", "a Parquet file", exported},
		{"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", unpacked},
		{"Rar!\x1a\x07", "a RAR archive", unpacked},
	}
	// parts are what tells a zip archive that is a document.
	parts = []otherKind{
		{"[Content_Types].xml", "an Excel workbook (.xlsx)", asSheet},
		{"xl/", "an Excel workbook (.xlsx)", asSheet},
		{"opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods)", asSheet},
	}
	// elements are the outermost ones of XML and HTML, behind prologue and remarks.
	elements = []otherKind{
		{"<gpx", "a GPX track", converted},
		{"<kml", "a KML track", converted},
		{"<trainingcenterdatabase", "a TCX activity", converted},
		{"<!doctype html", "a web page", webPage},
		{"<html", "a web page", webPage},
		{"<?xml", "an XML document", converted},
	}
)

// kindOfFile tells by the beginning of a file what it is, and what to do, where
// that is no table.
func kindOfFile(head []byte) *otherKind {
	find := func(kinds []otherKind, marked func(string) bool) *otherKind {
		for i := range kinds {
			if marked(kinds[i].mark) {
				return &kinds[i]
			}
		}
		return nil
	}
	if len(head) >= 12 && string(head[8:12]) == ".FIT" {
		return &otherKind{"", "a FIT activity", converted}
	}
	kind := find(beginnings, func(mark string) bool { return bytes.HasPrefix(head, []byte(mark)) })
	if kind == &beginnings[0] {
		if part := find(parts, func(mark string) bool { return bytes.Contains(head, []byte(mark)) }); part != nil {
			return part
		}
	}
	if text := strings.TrimLeft(strings.TrimPrefix(string(head), "\ufeff"), " \t\r\n"); kind == nil && strings.HasPrefix(text, "<") {
		text = strings.ToLower(text)
		kind = find(elements, func(mark string) bool { return strings.Contains(text, mark) })
	}
	return kind
}

// refuseOthers looks at the beginning of what should be a table and returns all
// of it, or an Invalid fault that says what it is and what to do.
func refuseOthers(src io.Reader) (io.Reader, error) {
	head := make([]byte, 1024)
	n, err := io.ReadFull(src, head)
	// How a shorter one ends, the source tells when it is read on.
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if kind := kindOfFile(head[:n]); kind != nil {
		return nil, fault.New(fault.Invalid, "the file is %s, not a table of text: %s", kind.what, kind.todo)
	}
	return io.MultiReader(bytes.NewReader(head[:n]), src), nil
}
