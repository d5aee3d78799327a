package convexdump

import (
	"archive/zip"
	"fmt"
	"io"
)

const MaxDocument = maxDocument

var ErrNoFile = errNoFile

func (d *Dump) File(id string) (io.ReadCloser, error) { return d.file(id) }

// Read reads a snapshot from memory.
func Read(src io.ReaderAt, size int64) (*Dump, error) {
	archive, err := zip.NewReader(src, size)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	return read(archive)
}
