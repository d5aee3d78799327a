package doctor

import (
	"context"
	"fmt"
	"time"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Lags above these are worth a look; reads of what is newer go to the primary.
const (
	longLag  = 10 * time.Second
	largeLag = 64 << 20 // bytes of write-ahead log: four segments
)

// Replica looks at a streaming replica of the database behind primary. The
// error says that one of them could not be asked.
func Replica(ctx context.Context, primary, replica schema.Querier) ([]Finding, error) {
	const subject = "Replica"
	type server struct {
		identifier int64
		database   string
		inRecovery bool
		position   string // in the write-ahead log
	}
	ask := func(db schema.Querier) (s server, err error) {
		err = db.QueryRow(ctx, `
			SELECT (SELECT system_identifier FROM pg_control_system()), current_database()::text, pg_is_in_recovery(),
			       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text`).
			Scan(&s.identifier, &s.database, &s.inRecovery, &s.position)
		return s, err
	}
	here, err := ask(primary)
	if err != nil {
		return nil, fmt.Errorf("ask the primary about its replica: %w", err)
	}
	there, err := ask(replica)
	if err != nil {
		return nil, fmt.Errorf("ask the replica: %w", err)
	}
	const useless = "Name a streaming replica of the database, or none; the primary serves all reads meanwhile"
	switch {
	case !there.inRecovery:
		return []Finding{{Level: Problem, Subject: subject, Found: "it is no standby", Advice: useless}}, nil
	case there.identifier != here.identifier:
		return []Finding{{Level: Problem, Subject: subject, Found: "it is a standby of another server", Advice: useless}}, nil
	case there.database != here.database:
		return []Finding{{Level: Problem, Subject: subject, Found: fmt.Sprintf("its URL names the database %s, that of the primary %s", there.database, here.database), Advice: useless}}, nil
	}
	var (
		receiving, feedback bool
		behind              float64 // bytes
		seconds             float64
	)
	err = replica.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_stat_wal_receiver), current_setting('hot_standby_feedback')::bool,
		       greatest(pg_wal_lsn_diff($1::text::pg_lsn, pg_last_wal_replay_lsn()), 0)::float8,
		       coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)::float8`, here.position).
		Scan(&receiving, &feedback, &behind, &seconds)
	if err != nil {
		return nil, fmt.Errorf("ask the replica: %w", err)
	}
	finding := Finding{Subject: subject, Found: "it has replayed all that the primary wrote"}
	lag := time.Duration(seconds * float64(time.Second))
	if behind > 0 {
		finding.Found = fmt.Sprintf("it lacks %.1f MB of what the primary wrote; the newest that it has is %v old", behind/1e6, lag.Round(time.Millisecond))
	}
	switch {
	case !receiving:
		finding.Level, finding.Advice = Warning, "It receives nothing from the primary: look at primary_conninfo and at its log"
	case behind > largeLag || behind > 0 && lag > longLag:
		finding.Level, finding.Advice = Warning, "It serves no newer runs until it has caught up: look for long reads on it, and at its disk"
	}
	findings := []Finding{finding}
	if !feedback {
		findings = append(findings, Finding{Level: Warning, Subject: "Feedback", Found: "hot_standby_feedback is off on the replica",
			Advice: "Turn it on, or long exports from the replica can be cancelled by what it replays"})
	}
	return findings, nil
}
