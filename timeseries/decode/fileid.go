package decode

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"strings"
	"unicode"
)

// FileID tells a file by what is in it, unpacked. It makes the id of the session
// of a file whose records name none, as the team's importer does: from a name
// and the file's bytes, so that the same file is always the same session.
type FileID struct {
	name     string
	contents sums
	came     sums           // of the bytes as they came, by which earlier versions told a packed file
	unpacker *io.PipeWriter // nil where the file is not packed
	done     chan error     // nil once it was received
	err      error
}

// sums are a file's: with the name before it, for the id, and without.
type sums struct{ id, content hash.Hash }

func (s sums) Write(p []byte) (int, error) {
	s.id.Write(p) // a hash takes everything
	return s.content.Write(p)
}

// Unpack reads what is in a packed file.
type Unpack func(packed io.Reader) (io.ReadCloser, error)

// NewFileID begins an id, to which the file's bytes are then written, as they
// come. The name is the session's or, where that has none, the file's up to its
// first dot. unpack is nil for a file that is not packed.
func NewFileID(sessionName, file string, unpack Unpack) *FileID {
	if sessionName == "" {
		sessionName, _, _ = strings.Cut(filepath.Base(file), ".")
	}
	begin := func() sums {
		s := sums{sha256.New(), sha256.New()}
		_, _ = io.WriteString(s.id, sessionName+"\n")
		return s
	}
	f := &FileID{name: sessionName, contents: begin()}
	if unpack == nil {
		return f
	}
	f.came, f.done = begin(), make(chan error, 1)
	var packed *io.PipeReader
	packed, f.unpacker = io.Pipe()
	go func() {
		content, err := unpack(packed)
		if err == nil {
			_, err = io.Copy(f.contents, content)
			_ = content.Close()
		}
		_, _ = io.Copy(io.Discard, packed) // whoever writes need not know
		f.done <- err
	}()
	return f
}

// RunName is what the run of a file is called: the file's name without folders
// and without what tells its form.
func RunName(file string) string {
	name := filepath.Base(file)
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
	if ext := filepath.Ext(name); ext != "" && ext != name && !strings.Contains(ext, " ") {
		name = strings.TrimSuffix(name, ext)
	}
	return strings.ToValidUTF8(name, "")
}

// Write takes the file's next bytes.
func (f *FileID) Write(p []byte) (int, error) {
	if f.unpacker == nil {
		return f.contents.Write(p)
	}
	_, _ = f.came.Write(p)
	return f.unpacker.Write(p)
}

// Close ends the file. It returns why what was written cannot be unpacked; then
// nothing else of the id means anything.
func (f *FileID) Close() error {
	if f.done != nil {
		_ = f.unpacker.Close()
		f.err, f.done = <-f.done, nil
	}
	return f.err
}

// Digests are SHA-256 sums, the same under any name: of what is in the file, and
// further ones by which versions before this one told it.
func (f *FileID) Digests() [][]byte {
	list := [][]byte{f.contents.content.Sum(nil)}
	if f.unpacker != nil {
		list = append(list, f.came.content.Sum(nil))
	}
	return list
}

// IDs are csv-<name>-<12 hexadecimal digits>, and further ids which versions
// before this one gave the file.
func (f *FileID) IDs() []string {
	id := func(s sums) string {
		return fmt.Sprintf("csv-%s-%s", slug(f.name), hex.EncodeToString(s.id.Sum(nil))[:12])
	}
	list := []string{id(f.contents)}
	if f.unpacker != nil {
		list = append(list, id(f.came))
	}
	return list
}

func slug(name string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			out.WriteRune(r)
		case out.Len() > 0 && !strings.HasSuffix(out.String(), "-"):
			out.WriteByte('-')
		}
	}
	text := strings.Trim(out.String(), "-")
	if text == "" {
		return "session"
	}
	return text[:min(len(text), 40)]
}
