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

// FileID makes the id of the session of a file whose records name none, as the
// team's importer does: from a name and the file's bytes, as they are on disk
// and written to it, so that the same file is always the same session.
type FileID struct {
	name    string
	sum     hash.Hash
	content hash.Hash
}

// NewFileID begins an id. The name is the session's or, where that has none, the
// file's up to its first dot.
func NewFileID(sessionName, file string) *FileID {
	if sessionName == "" {
		sessionName, _, _ = strings.Cut(filepath.Base(file), ".")
	}
	f := &FileID{sessionName, sha256.New(), sha256.New()}
	_, _ = io.WriteString(f.sum, sessionName+"\n") // a hash takes everything
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
	f.content.Write(p)
	return f.sum.Write(p)
}

// Content is the SHA-256 of the file's bytes: the same under any name.
func (f *FileID) Content() []byte { return f.content.Sum(nil) }

// String returns csv-<name>-<12 hexadecimal digits>.
func (f *FileID) String() string {
	return fmt.Sprintf("csv-%s-%s", slug(f.name), hex.EncodeToString(f.sum.Sum(nil))[:12])
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
