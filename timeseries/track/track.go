package track

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Tracks are the circuits of one database, as people see and edit them. It is safe
// for concurrent use.
type Tracks struct{ pool, reads *pgxpool.Pool }

// New makes Tracks on a migrated database. Reads are the connections for what
// somebody waits for.
func New(pool, reads *pgxpool.Pool) *Tracks { return &Tracks{pool, reads} }

// Circuit is a track as people see it.
type Circuit struct {
	ID        int32     `json:"id" doc:"As in the path"`
	Name      string    `json:"name" doc:"What it is called"`
	Length    float64   `json:"length_m" doc:"By the speed of the run that found it, m"`
	Latitude  float64   `json:"latitude" doc:"Where the line begins, deg"`
	Longitude float64   `json:"longitude" doc:"Where the line begins, deg"`
	FinishSet bool      `json:"finish_set" doc:"A person set the finish, and laps count from there; else from where each run began"`
	Sectors   []Gate    `json:"sectors" doc:"From the finish on"`
	Created   time.Time `json:"created_at" doc:"When it was found"`
	Updated   time.Time `json:"updated_at" doc:"When a person changed it last, or it was found"`
	// Parts and Line are nil in lists.
	Parts []Part   `json:"parts,omitempty" doc:"Circuits that people made part of this one"`
	Line  []Corner `json:"line,omitempty" doc:"Corners of the closed line, at equal lengths"`
}

// Part is a circuit that is the same place as another.
type Part struct {
	ID   int32  `json:"id" doc:"What splits it off"`
	Name string `json:"name" doc:"What it was called"`
}

// Corner is one of the line's.
type Corner struct {
	Latitude  float64  `json:"latitude" doc:"deg"`
	Longitude float64  `json:"longitude" doc:"deg"`
	Altitude  *float64 `json:"altitude_m" doc:"m; null where the run that found it had none"`
}

// Gate is where a sector begins.
type Gate struct {
	Name      string  `json:"name" doc:"What it is called"`
	From      float64 `json:"from_m" doc:"Where it begins, m along the line"`
	Latitude  float64 `json:"latitude" doc:"Its gate, deg"`
	Longitude float64 `json:"longitude" doc:"Its gate, deg"`
}

type row struct {
	Track int32
	Shape
	Name             string
	Gates            []float64
	Names            []string
	FinishSet        bool
	Created, Updated time.Time
}

var selectRow = `
	SELECT track, latitude, longitude, altitude_m, length_m, ` + Name("tracks") + `, gates_m, gate_names, finish_set, created_at, updated_at
	FROM tracks`

func scanRow(r pgx.CollectableRow) (t row, err error) {
	err = r.Scan(&t.Track, &t.Lat, &t.Lon, &t.Alt, &t.Length, &t.Name, &t.Gates, &t.Names, &t.FinishSet, &t.Created, &t.Updated)
	return t, err
}

func (t *row) view(line bool) Circuit {
	view := Circuit{ID: t.Track, Name: t.Name, Length: t.Length, Latitude: t.Lat[0], Longitude: t.Lon[0], FinishSet: t.FinishSet, Created: t.Created.UTC(), Updated: t.Updated.UTC()}
	for i, g := range t.Gates {
		s := Gate{Name: t.Names[i], From: g}
		if s.Name == "" {
			s.Name = fmt.Sprint("Sector ", i+1)
		}
		s.Latitude, s.Longitude = t.At(g)
		view.Sectors = append(view.Sectors, s)
	}
	for i := range t.Lat {
		if !line {
			break
		}
		c := Corner{Latitude: t.Lat[i], Longitude: t.Lon[i]}
		if len(t.Alt) > 0 {
			c.Altitude = &t.Alt[i]
		}
		view.Line = append(view.Line, c)
	}
	return view
}

// usedSince keeps the tracks that a run is on which started at $1 or later; all where
// that is NULL.
const usedSince = ` WHERE same_as IS NULL AND ($1::timestamptz IS NULL OR EXISTS (
		SELECT FROM analysis_runs r
		JOIN sessions s USING (session)
		WHERE r.track = tracks.track AND s.deleted_at IS NULL AND s.first_time >= $1))`

// List returns tracks by name, without their lines: those that a run is on which
// started since then, or all where that is nil.
func (s *Tracks) List(ctx context.Context, since *time.Time) ([]Circuit, error) {
	rows, err := schema.List(ctx, s.reads, scanRow, selectRow+usedSince+" ORDER BY track", since)
	if err != nil {
		return nil, fmt.Errorf("list tracks: %w", err)
	}
	list := make([]Circuit, len(rows))
	for i := range rows {
		list[i] = rows[i].view(false)
	}
	slices.SortStableFunc(list, func(a, b Circuit) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Get returns a track, of those that List would have. It fails with fault.NotFound.
func (s *Tracks) Get(ctx context.Context, id int32, since *time.Time) (*Circuit, error) {
	rows, err := schema.List(ctx, s.reads, scanRow, selectRow+usedSince+" AND track = $2", since, id)
	if err != nil {
		return nil, fmt.Errorf("read a track: %w", err)
	}
	if len(rows) == 0 {
		return nil, fault.New(fault.NotFound, "there is no track %d", id)
	}
	view := rows[0].view(true)
	view.Parts, err = schema.List(ctx, s.reads, pgx.RowToStructByPos[Part], "SELECT track, "+Name("tracks")+" FROM tracks WHERE same_as = $1 ORDER BY track", id)
	if err != nil {
		return nil, fmt.Errorf("read the parts of a track: %w", err)
	}
	return &view, nil
}

// Edit is what a person changes of a track. Nil leaves it as it is.
type Edit struct {
	Name *string `json:"name,omitempty" doc:"What it is called; empty: Track and its number"`
	// Finish alone leaves the other gates where they are.
	Finish  *float64     `json:"finish_m,omitempty" doc:"Where the finish is, m along the line: laps of all its runs count from there. Other gates stay"`
	Sectors []SectorEdit `json:"sectors,omitempty" doc:"All sectors in the order in which they are driven, 1 to 40; the first one begins at the finish, and moving that is setting it"`
}

// SectorEdit is a sector as a person wants it.
type SectorEdit struct {
	Name string  `json:"name" doc:"What it is called; empty, or Sector and its number: that"`
	From float64 `json:"from_m" doc:"Where it begins, m along the line"`
}

const (
	mostNamed   = 100 // characters of a name
	mostGates   = 40
	leastApart  = 10 // m between two gates
	sameFinish  = 0.5
	usualPrefix = "Sector "
)

// Edit changes a track; laps of its runs are worked out anew behind it. It fails with
// fault.NotFound, and with fault.Invalid and the member.
func (s *Tracks) Edit(ctx context.Context, id int32, e Edit) (*Circuit, error) {
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := schema.List(ctx, tx, scanRow, selectRow+" WHERE same_as IS NULL AND track = $1 FOR UPDATE", id)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fault.New(fault.NotFound, "there is no track %d", id)
		}
		t := &rows[0]
		if e.Name != nil {
			name, err := nameOf("name", *e.Name)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "UPDATE tracks SET name = $2, updated_at = clock_timestamp() WHERE track = $1", id, name); err != nil {
				return err
			}
		}
		before := slices.Clone(t.Gates)
		if e.Finish != nil {
			if err := t.setFinish(*e.Finish); err != nil {
				return err
			}
		}
		if e.Sectors != nil {
			if err := t.setSectors(e.Sectors); err != nil {
				return err
			}
		}
		if e.Finish == nil && e.Sectors == nil {
			return nil
		}
		finish := t.FinishSet || e.Finish != nil || math.Abs(math.Remainder(t.Gates[0]-before[0], t.Length)) > sameFinish
		moved := finish != t.FinishSet || !slices.Equal(before, t.Gates)
		_, err = tx.Exec(ctx, `
			UPDATE tracks
			SET gates_m = $2, gate_names = $3, finish_set = $4, edited = edited OR $5, updated_at = clock_timestamp(), revision = revision + $5::boolean::integer
			WHERE track = $1`, id, t.Gates, t.Names, finish, moved)
		return err
	})
	if err != nil {
		return nil, fault.Wrap("edit a track", err)
	}
	return s.Get(ctx, id, nil)
}

func nameOf(field, name string) (string, error) {
	name = strings.TrimSpace(name)
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) || utf8.RuneCountInString(name) > mostNamed {
		return "", fault.Field(field, "must be at most %d characters, without control characters", mostNamed)
	}
	return name, nil
}

// setFinish begins the first sector elsewhere. Gates that are nearer than the least
// distance give way.
func (t *row) setFinish(at float64) error {
	if !(at >= 0 && at < t.Length) {
		return fault.Field("finish_m", "must be from 0 to less than the length of the track, %.1f m", t.Length)
	}
	type gate struct {
		ahead float64 // m behind the finish
		at    float64
		name  string
	}
	list := []gate{{0, at, t.Names[0]}}
	for i := 1; i < len(t.Gates); i++ {
		g := gate{math.Mod(t.Gates[i]-at+t.Length, t.Length), t.Gates[i], t.Names[i]}
		if g.ahead >= leastApart && g.ahead <= t.Length-leastApart {
			list = append(list, g)
		}
	}
	slices.SortStableFunc(list, func(a, b gate) int { return cmp.Compare(a.ahead, b.ahead) })
	t.Gates, t.Names = nil, nil
	for _, g := range list {
		t.Gates, t.Names = append(t.Gates, g.at), append(t.Names, g.name)
	}
	return nil
}

func (t *row) setSectors(list []SectorEdit) error {
	if len(list) < 1 || len(list) > mostGates {
		return fault.Field("sectors", "1 to %d sectors, not %d", mostGates, len(list))
	}
	t.Gates, t.Names = nil, nil
	round := 0.0
	for i, s := range list {
		field := fmt.Sprintf("sectors[%d].", i)
		if !(s.From >= 0 && s.From < t.Length) {
			return fault.Field(field+"from_m", "must be from 0 to less than the length of the track, %.1f m", t.Length)
		}
		next := list[(i+1)%len(list)].From
		ahead := math.Mod(next-s.From+t.Length, t.Length)
		if len(list) > 1 && !(ahead >= leastApart) {
			return fault.Field(field+"from_m", "the next sector must begin %d m later or more", leastApart)
		}
		round += ahead
		name, err := nameOf(field+"name", s.Name)
		if err != nil {
			return err
		}
		if name == fmt.Sprint(usualPrefix, i+1) {
			name = ""
		}
		t.Gates, t.Names = append(t.Gates, s.From), append(t.Names, name)
	}
	if round > t.Length*1.5 {
		return fault.Field("sectors", "must stand in the order in which they are driven")
	}
	return nil
}
