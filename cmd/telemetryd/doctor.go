package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/doctor"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	schema "github.com/ecovolt/telemetryd/sql"
)

type doctorCmd struct {
	database.Flags
	ReadDatabaseURL string `placeholder:"URL" help:"A streaming replica to look at, too."`
	JSON            bool   `name:"json" help:"Print the findings as JSON."`
}

// Run prints what it found and fails when something of it stops telemetryd
// from working. It changes nothing, but starts telemetryd's own database for
// as long as it looks at it.
func (d doctorCmd) Run(ctx context.Context, log *slog.Logger) error {
	findings := []doctor.Finding{{Subject: "telemetryd", Found: version}}
	for _, unknown := range unknownVariables(os.Environ()) {
		findings = append(findings, doctor.Finding{
			Level: doctor.Warning, Subject: "Settings", Found: "nothing reads the variable " + unknown.name,
			Advice: "Perhaps " + unknown.perhaps + " is meant; telemetryd serve --help lists them",
		})
	}
	findings = append(findings, d.machine(ctx)...)
	db, err := d.Find(ctx, log)
	if err == nil {
		defer db.Close(ctx)
		var found []doctor.Finding
		found, err = inspect(ctx, db.URL)
		findings = append(findings, found...)
		if err == nil && d.ReadDatabaseURL != "" {
			findings = append(findings, replica(ctx, db.URL, d.ReadDatabaseURL)...)
		}
	}
	if err != nil {
		advice := "" // of a server of ours the error says what to do
		if d.DatabaseURL != "" {
			advice = "Check that the server runs and that the URL, the user and the password are right"
		}
		findings = append(findings, doctor.Finding{Level: doctor.Problem, Subject: "Database", Found: err.Error(), Advice: advice})
	}
	if err := d.print(os.Stdout, findings); err != nil {
		return err
	}
	problems := 0
	for _, f := range findings {
		if f.Level == doctor.Problem {
			problems++
		}
	}
	if problems > 0 {
		return fmt.Errorf("%d of %d findings must be dealt with", problems, len(findings))
	}
	return nil
}

func (d doctorCmd) machine(ctx context.Context) []doctor.Finding {
	if d.DatabaseURL != "" {
		return doctor.Machine("")
	}
	findings := doctor.Machine(d.DataDir)
	if programs, err := pgserver.Find(ctx, d.PGBindir, 0); err == nil {
		findings = append(findings, doctor.Finding{Subject: "Programs", Found: programs.Text + " in " + programs.Dir})
	}
	return findings
}

func inspect(ctx context.Context, url string) ([]doctor.Finding, error) {
	conn, err := schema.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	findings, err := doctor.Database(ctx, conn)
	if err != nil {
		return nil, err
	}
	contents, err := doctor.Contents(ctx, conn)
	return append(findings, contents...), err
}

func replica(ctx context.Context, primaryURL, url string) []doctor.Finding {
	findings, err := func() ([]doctor.Finding, error) {
		primary, err := schema.Connect(ctx, primaryURL)
		if err != nil {
			return nil, err
		}
		defer primary.Close(ctx)
		replica, err := schema.Connect(ctx, url)
		if err != nil {
			return nil, err
		}
		defer replica.Close(ctx)
		return doctor.Replica(ctx, primary, replica)
	}()
	if err != nil {
		// Nothing depends on it: the primary serves what the replica does not.
		return []doctor.Finding{{
			Level: doctor.Warning, Subject: "Replica", Found: err.Error(),
			Advice: "Check that it runs and that its URL, user and password are right; the primary serves all reads meanwhile",
		}}
	}
	return findings
}

func (d doctorCmd) print(w io.Writer, findings []doctor.Finding) error {
	if d.JSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(findings)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Level, f.Subject, f.Found)
		if f.Advice != "" {
			fmt.Fprintf(table, "\t\t-> %s.\n", f.Advice)
		}
	}
	return table.Flush()
}
