package track

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Delete forgets a track, with those that were made part of it. Its runs are worked out
// anew behind it: those of two laps find a track again, which has no name yet. It
// fails with fault.NotFound.
func (s *Tracks) Delete(ctx context.Context, id int32) error {
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM tracks WHERE track = $1 AND same_as IS NULL", id)
		if err == nil && tag.RowsAffected() == 0 {
			err = fault.New(fault.NotFound, "there is no track %d", id)
		}
		return err
	})
	return fault.Wrap("delete a track", err)
}

// Merge makes another track part of this one, which stays as it is: the runs of both
// are on this one then. It fails with fault.NotFound, and with fault.Invalid where
// the other one leads along another way.
func (s *Tracks) Merge(ctx context.Context, id, other int32) (*Circuit, error) {
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := schema.List(ctx, tx, scanRow, selectRow+" WHERE same_as IS NULL AND track = ANY($1) OR same_as = $2 ORDER BY track FOR UPDATE", []int32{id, other}, other)
		if err != nil {
			return err
		}
		find := func(id int32) int { return slices.IndexFunc(rows, func(t row) bool { return t.Track == id }) }
		kept := find(id)
		switch {
		case kept < 0:
			return fault.New(fault.NotFound, "there is no track %d", id)
		case id == other || find(other) < 0:
			return fault.Field("track", "must be another circuit that there is")
		}
		line := rows[kept].Plane(rows[kept].Lat[0], rows[kept].Lon[0])
		for _, t := range rows {
			if _, ok := t.Plane(rows[kept].Lat[0], rows[kept].Lon[0]).along(line, merged); !ok {
				return fault.Field("track", "leads along another way than track %d, or is driven the other way round", id)
			}
		}
		if _, err := tx.Exec(ctx, "UPDATE tracks SET same_as = $1, revision = revision + 1 WHERE track = $2 OR same_as = $2", id, other); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE tracks SET updated_at = clock_timestamp() WHERE track = $1", id)
		return err
	})
	if err != nil {
		return nil, fault.Wrap("merge tracks", err)
	}
	return s.Get(ctx, id, nil)
}

// Split makes a track that was made part of this one a track of its own again, with the
// name and the gates that it had: the runs of this one are worked out anew, each on the
// line that it keeps to. It fails with fault.NotFound, and with fault.Invalid where the
// other one is no part of it.
func (s *Tracks) Split(ctx context.Context, id, other int32) (*Circuit, error) {
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE tracks SET revision = revision + 1, updated_at = clock_timestamp() WHERE track = $1 AND same_as IS NULL", id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fault.New(fault.NotFound, "there is no track %d", id)
		}
		tag, err = tx.Exec(ctx, "UPDATE tracks SET same_as = NULL, revision = revision + 1 WHERE track = $1 AND same_as = $2", other, id)
		if err == nil && tag.RowsAffected() == 0 {
			err = fault.Field("track", "must be a circuit that was made part of this one")
		}
		return err
	})
	if err != nil {
		return nil, fault.Wrap("split a track", err)
	}
	return s.Get(ctx, id, nil)
}
