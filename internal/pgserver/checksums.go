package pgserver

import (
	"context"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

var withoutChecksums = regexp.MustCompile(`(?m)^Data page checksum version: +0$`)

// ensureChecksums turns data checksums on in a cluster that was made without, so
// that what a disk returns wrongly is an error and no record. It takes a server
// that was stopped in order; after a crash the next start does it. The cluster
// works without, so what goes wrong is said and left.
func (s *Server) ensureChecksums(ctx context.Context) {
	control, err := run(ctx, s.bin.Path("pg_controldata"), s.cluster.data())
	if err != nil {
		s.logger.Warn("cannot tell whether the database has data checksums", "error", err)
		return
	}
	if !withoutChecksums.MatchString(control) {
		return
	}
	if !strings.Contains(control, " shut down\n") {
		s.logger.Warn("the database has no data checksums; the next start after an orderly stop turns them on")
		return
	}
	begun := time.Now()
	s.logger.Info("turning data checksums on, which reads and writes the whole database once", "bytes", s.cluster.size())
	// Stopped half-way it is as before: what says that they are on comes last.
	if _, err := run(ctx, s.bin.Path("pg_checksums"), "--enable", "--pgdata", s.cluster.data()); err != nil {
		s.logger.Warn("cannot turn data checksums on", "error", err)
		return
	}
	s.logger.Info("data checksums are on", "took", time.Since(begun))
}

// size is how many bytes the tables and indexes take.
func (c cluster) size() (bytes int64) {
	_ = filepath.WalkDir(filepath.Join(c.data(), "base"), func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil // it only helps the reader
	})
	return bytes
}
