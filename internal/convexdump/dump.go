package convexdump

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
)

// maxDocument bounds one line, in bytes. Convex holds documents of up to 1 MiB;
// as JSON text they grow a few times at worst.
const maxDocument = 16 << 20

const (
	documents = "documents.jsonl"
	storage   = "_storage"
)

// Dump is an opened snapshot. Its methods may be called concurrently.
type Dump struct {
	tables map[string]*zip.File
	files  map[string]*zip.File // of _storage, by id
	close  func() error
}

// Open opens the snapshot in that file. The caller must Close it.
func Open(name string) (*Dump, error) {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	d, err := read(&archive.Reader)
	if err != nil {
		archive.Close()
		return nil, err
	}
	d.close = archive.Close
	return d, nil
}

func read(archive *zip.Reader) (*Dump, error) {
	d := &Dump{tables: map[string]*zip.File{}, files: map[string]*zip.File{}, close: func() error { return nil }}
	for _, file := range archive.File {
		dir, base := path.Split(path.Clean(file.Name))
		dir = strings.TrimSuffix(dir, "/")
		switch {
		case dir == "" || strings.Contains(dir, "/") || file.FileInfo().IsDir():
			// README.md, components
		case base == documents:
			if d.tables[dir] != nil {
				return nil, fmt.Errorf("the snapshot has the table %q twice", dir)
			}
			d.tables[dir] = file
		case dir == storage:
			id, _, _ := strings.Cut(base, ".")
			d.files[id] = file
		}
	}
	if len(d.tables) == 0 {
		return nil, errors.New("this is not a Convex snapshot: no folder in it has a documents.jsonl")
	}
	return d, nil
}

// Close closes the snapshot's file.
func (d *Dump) Close() error { return d.close() }

// Tables lists the tables in the snapshot, system tables (_tables, _storage)
// among them.
func (d *Dump) Tables() []string {
	var names []string
	for name := range d.tables {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Has reports whether the snapshot has the table.
func (d *Dump) Has(table string) bool { return d.tables[table] != nil }

// HasFiles reports whether the snapshot holds stored files at all.
func (d *Dump) HasFiles() bool { return len(d.files) > 0 }

// Documents returns the table's documents one by one, none when the snapshot has
// no such table. A document is valid until the next one is asked for. An error
// ends the sequence.
func (d *Dump) Documents(table string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		file := d.tables[table]
		if file == nil {
			return
		}
		src, err := file.Open()
		if err != nil {
			yield(nil, fmt.Errorf("read table %s: %w", table, err))
			return
		}
		defer src.Close()
		lines := bufio.NewScanner(src)
		lines.Buffer(make([]byte, 64<<10), maxDocument)
		number := 0
		for lines.Scan() {
			number++
			line := bytes.TrimSpace(lines.Bytes())
			if len(line) == 0 {
				continue
			}
			if line[0] != '{' || !json.Valid(line) {
				yield(nil, fmt.Errorf("read table %s: line %d is not a JSON object", table, number))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("read table %s after line %d: %w", table, number, err))
		}
	}
}

// errNoFile says that a stored file is not in the snapshot.
var errNoFile = errors.New("the file is not in the snapshot; was it exported with --include-file-storage?")

// file opens a stored file by its id. The caller must close it.
func (d *Dump) file(id string) (io.ReadCloser, error) {
	file := d.files[id]
	if file == nil {
		return nil, fmt.Errorf("stored file %q: %w", id, errNoFile)
	}
	src, err := file.Open()
	if err != nil {
		return nil, fmt.Errorf("stored file %q: %w", id, err)
	}
	return src, nil
}

// All reads a whole table of documents of one form into memory. It is for
// small tables.
func All[T any](d *Dump, table string) ([]T, error) {
	var all []T
	for document, err := range d.Documents(table) {
		if err != nil {
			return nil, err
		}
		var v T
		if err := json.Unmarshal(document, &v); err != nil {
			return nil, fmt.Errorf("read table %s: document %d: %w", table, len(all)+1, err)
		}
		all = append(all, v)
	}
	return all, nil
}
