package convexdump

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"iter"
)

// maxArchive bounds the inflated size of one archive part, in bytes. A part
// holds 3000 records of about 2 KB.
const maxArchive = 1 << 30

// ArchivedRecords returns the records of a stored archive part, a gzip file with
// a JSON array, one by one. A record is valid until the next one is asked for.
// An error ends the sequence.
func (d *Dump) ArchivedRecords(id string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		src, err := d.file(id)
		if err != nil {
			yield(nil, err)
			return
		}
		defer src.Close()
		if err := eachRecord(src, yield); err != nil {
			yield(nil, fmt.Errorf("stored file %q: %w", id, err))
		}
	}
}

// eachRecord returns nil too when yield wants no more.
func eachRecord(src io.Reader, yield func(json.RawMessage, error) bool) error {
	zip, err := gzip.NewReader(src)
	if err != nil {
		return err
	}
	text := json.NewDecoder(io.LimitReader(zip, maxArchive))
	if open, err := text.Token(); err != nil {
		return err
	} else if open != json.Delim('[') {
		return fmt.Errorf("not a JSON array of records")
	}
	var record json.RawMessage
	for text.More() {
		record = record[:0]
		if err := text.Decode(&record); err != nil {
			return err
		}
		if !yield(record, nil) {
			return nil
		}
	}
	// The end shows that the file is whole: the bracket, and gzip's checksum.
	if _, err := text.Token(); err != nil {
		return err
	}
	if _, err := text.Token(); err != io.EOF {
		return fmt.Errorf("something follows the records")
	}
	return nil
}
