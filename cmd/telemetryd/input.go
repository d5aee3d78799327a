package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/ecovolt/telemetryd/timeseries/decode"
)

// input is one file to import, decompressed, with a progress bar over what was
// read of it.
type input struct {
	*bufio.Reader
	name   string
	file   *os.File
	bar    *progressbar.ProgressBar
	close  func() error
	unpack decode.Unpack // nil where it is not packed
	format decode.Format
	// regular says that the file can be read a second time.
	regular bool
}

func openInput(ctx context.Context, name, format string, progress bool) (*input, error) {
	in := &input{name: name, file: os.Stdin, close: func() error { return nil }}
	var raw io.Reader
	size := int64(-1)
	if name == "-" {
		raw = untilDone(ctx, os.Stdin)
	} else {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		in.file, raw = file, file
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size, in.regular = info.Size(), true
		}
	}
	if progress && term.IsTerminal(int(os.Stderr.Fd())) {
		in.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionSetDescription(filepath.Base(name)), progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		raw = io.TeeReader(raw, in.bar)
	}
	packed := bufio.NewReaderSize(raw, 1<<20)
	in.unpack = unpacker(packed)
	in.Reader = packed
	if in.unpack != nil {
		unpacked, err := in.unpack(packed)
		if err != nil {
			in.Close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		in.close = unpacked.Close
		in.Reader = bufio.NewReaderSize(unpacked, 1<<20)
	}
	in.format = in.guess(format)
	return in, nil
}

// untilDone reads src until the context ends, even while src is silent.
func untilDone(ctx context.Context, src io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{src}, make([]byte, 256<<10))
		in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return out
}

// unpacker returns how a file is unpacked, nil for one that is not packed: by its
// first bytes, not by its name.
func unpacker(file *bufio.Reader) decode.Unpack {
	magic, _ := file.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return func(packed io.Reader) (io.ReadCloser, error) { return gzip.NewReader(packed) }
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return func(packed io.Reader) (io.ReadCloser, error) {
			z, err := zstd.NewReader(packed)
			if err != nil {
				return nil, err
			}
			return z.IOReadCloser(), nil
		}
	}
	return nil
}

func (in *input) guess(format string) decode.Format {
	switch format {
	case "csv":
		return decode.FormatCSV
	case "":
		head, _ := in.Peek(512)
		head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
		if len(head) == 0 || head[0] != '{' && head[0] != '[' {
			return decode.FormatCSV
		}
	}
	return decode.FormatJSON
}

// identify tells a table by what is in it; nil where it cannot be read twice, and
// for records as JSON.
func (in *input) identify(sessionName string) (*decode.FileID, error) {
	if !in.regular || in.format != decode.FormatCSV {
		return nil, nil
	}
	file, err := os.Open(in.name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	id := decode.NewFileID(sessionName, in.name, in.unpack)
	_, err = io.CopyBuffer(struct{ io.Writer }{id}, struct{ io.Reader }{file}, make([]byte, 256<<10))
	return id, cmp.Or(err, id.Close())
}

func (in *input) finish() {
	if in.bar != nil {
		_ = in.bar.Finish()
	}
}

func (in *input) Close() error {
	_ = in.close()
	if in.file == os.Stdin {
		return nil
	}
	return in.file.Close()
}
