package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
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
	close  func()
	format decode.Format
}

func openInput(ctx context.Context, name, format string, progress bool) (*input, error) {
	in := &input{name: name, file: os.Stdin, close: func() {}}
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
			size = info.Size()
		}
	}
	if progress && term.IsTerminal(int(os.Stderr.Fd())) {
		in.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionSetDescription(filepath.Base(name)), progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		raw = io.TeeReader(raw, in.bar)
	}
	decoded, err := in.decompress(bufio.NewReaderSize(raw, 1<<20))
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	in.Reader = bufio.NewReaderSize(decoded, 1<<20)
	in.format = in.guess(format)
	return in, nil
}

// untilDone reads src until the context ends, also while src is silent.
func untilDone(ctx context.Context, src io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{src}, make([]byte, 256<<10))
		in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return out
}

// decompress looks at the first bytes, not at the name.
func (in *input) decompress(raw *bufio.Reader) (io.Reader, error) {
	magic, _ := raw.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(raw)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(raw)
		if err != nil {
			return nil, err
		}
		in.close = z.Close
		return z, nil
	}
	return raw, nil
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

// derivedID makes a session id of the session's name and the file's bytes, whose
// digest it returns as well.
func (in *input) derivedID(sessionName string) (id string, content []byte, err error) {
	if in.name == "-" {
		return "", nil, errors.New("the records name no session: give --session-id")
	}
	file, err := os.Open(in.name)
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	made := decode.NewFileID(sessionName, in.name)
	if _, err := io.Copy(made, file); err != nil {
		return "", nil, err
	}
	return made.String(), made.Content(), nil
}

func (in *input) finish() {
	if in.bar != nil {
		_ = in.bar.Finish()
	}
}

func (in *input) Close() error {
	in.close()
	if in.file == os.Stdin {
		return nil
	}
	return in.file.Close()
}
