package timeseries

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign"
	"github.com/ecovolt/telemetryd/timeseries/ingest/repeat"
)

const (
	maxProfiles     = 200
	maxProfileBytes = 64 << 10
	maxProfileName  = 100
)

// savedProfiles keeps what import_profiles holds for a moment: each upload of a
// table asks, and one of 200 records would spend 4 to 7 % of its time on it.
type savedProfiles struct {
	mu       sync.Mutex
	profiles []foreign.Profile
	read     time.Time
	changes  int // tells a list that was asked for before the last of them
}

// profilesLife is how long another instance may not know a profile that was saved.
const profilesLife = time.Second

func (p *savedProfiles) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = time.Time{}
	p.changes++
}

// ForTables adds to the options of a table what is known here: saved profiles, and the
// units of what came beside the contract's fields.
func (s *Store) ForTables(ctx context.Context, opt *foreign.Options) error {
	set, err := s.Channels.Current(ctx)
	if err != nil {
		return err
	}
	opt.Unit = set.UnitOf
	opt.Profiles, err = s.ImportProfiles(ctx)
	return err
}

// ImportProfiles returns the saved profiles of loggers' files, by name, as they were
// within the last second. They are shared: nobody may change them.
func (s *Store) ImportProfiles(ctx context.Context) ([]foreign.Profile, error) {
	saved := &s.profiles
	saved.mu.Lock()
	known, fresh, changes := saved.profiles, time.Since(saved.read) < profilesLife, saved.changes
	saved.mu.Unlock()
	if fresh {
		return known, nil
	}
	profiles, err := schema.List(ctx, s.reads, pgx.RowTo[foreign.Profile], `
		SELECT profile
		FROM import_profiles
		ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read import profiles: %w", err)
	}
	saved.mu.Lock()
	defer saved.mu.Unlock()
	if saved.changes == changes {
		saved.profiles, saved.read = profiles, time.Now()
	}
	return profiles, nil
}

// SaveImportProfile keeps a profile under its name, in the place of one that
// was there. It returns an Invalid fault for one without a usable name or of
// extraordinary size, and a Conflict where there are too many.
func (s *Store) SaveImportProfile(ctx context.Context, p foreign.Profile) error {
	if p.Name == "" || len(p.Name) > maxProfileName {
		return fault.Field("save_profile", "must be a name of 1 to %d bytes", maxProfileName)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode import profile: %w", err)
	}
	if len(text) > maxProfileBytes {
		return fault.Field("save_profile", "the profile takes %d bytes; at most %d are kept", len(text), maxProfileBytes)
	}
	tag, err := s.pool.Exec(ctx, `
		INSERT INTO import_profiles (name, profile)
		SELECT $1, $2
		WHERE (SELECT count(*) FROM import_profiles WHERE name <> $1) < $3
		ON CONFLICT (name) DO UPDATE
		SET profile = excluded.profile, saved_at = now()`, p.Name, text, maxProfiles)
	if err != nil {
		return fmt.Errorf("save import profile: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fault.New(fault.Conflict, "there are %d import profiles; delete one first", maxProfiles)
	}
	s.profiles.forget()
	return nil
}

// DeleteImportProfile forgets a saved profile. It returns a NotFound fault
// where there is none of that name.
func (s *Store) DeleteImportProfile(ctx context.Context, name string) error {
	tag, err := s.pool.Exec(ctx, `DELETE FROM import_profiles WHERE name = $1`, name)
	if err != nil {
		return fmt.Errorf("delete import profile: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fault.New(fault.NotFound, "there is no import profile %q", fault.Clip(name))
	}
	s.profiles.forget()
	return nil
}

// ImportedRun returns the id of the run that a file belongs to whose records name
// none: the one that the file makes, unless it was imported before, into another.
func (s *Store) ImportedRun(ctx context.Context, file *decode.FileID) (id string, err error) {
	ids := file.IDs()
	err = s.reads.QueryRow(ctx, `
		SELECT coalesce((
			SELECT id
			FROM sessions
			WHERE deleted_at IS NULL
			  AND (id = ANY ($1) OR session IN (SELECT session FROM imported_files WHERE digest = ANY ($2)))
			ORDER BY id = $3 DESC, session
			LIMIT 1), $3)`, ids, file.Digests(), ids[0]).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("look for the run of a file: %w", err)
	}
	return id, nil
}

// KnownFile looks a file up by SHA-256 sums of what is in it; nil where it was not
// imported.
func (s *Store) KnownFile(ctx context.Context, digests [][]byte) (*repeat.Known, error) {
	return repeat.File(ctx, s.reads, digests, nil)
}
