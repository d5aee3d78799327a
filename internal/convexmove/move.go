package convexmove

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/convexdump"
	"github.com/ecovolt/telemetryd/timeseries"
)

// Services are where things are moved to.
type Services struct {
	Store      *timeseries.Store
	Auth       *auth.Service
	Dashboards *dashboard.Service
}

// Options tune a move.
type Options struct {
	// DryRun reads and checks everything and stores nothing. Services may then
	// be the zero value.
	DryRun bool
	// TempDir holds a copy of the telemetry table meanwhile; "" is the system's.
	TempDir string
	// Progress is told how many records were read of how many; nil tells nobody.
	Progress func(done, total int)
}

// mover is one move.
type mover struct {
	dump *convexdump.Dump
	Services
	Options
	report Report
	// owners maps the snapshot's account ids to ours. An address that has an
	// account here already keeps that one.
	owners map[string]string
}

// Move moves the snapshot. The error is what ended it early: an unreadable
// snapshot, an unreachable database or the context. What is wrong with single
// things stands in the report, and does not stop the others.
func Move(ctx context.Context, dump *convexdump.Dump, services Services, options Options) (*Report, error) {
	m := &mover{dump: dump, Services: services, Options: options, owners: map[string]string{}}
	m.report.DryRun = options.DryRun
	for _, step := range []func(context.Context) error{
		m.accounts, m.runs, m.notifications, m.liveState, m.dashboards,
	} {
		if err := step(ctx); err != nil {
			if stopped := ctx.Err(); stopped != nil && !errors.Is(err, stopped) {
				// A cut connection may be all that the step saw of it.
				err = fmt.Errorf("%w: %w", stopped, err)
			}
			return &m.report, err
		}
	}
	m.leftBehind()
	return &m.report, nil
}

func (m *mover) leftBehind() {
	known := []string{tableTelemetry, tableArchives, tableSessions, tableAccounts, tableProfiles, tableLive, tableNotifications,
		tablePreferences, tableViews, tableWidgets, tableAlerts, "_tables", "_storage"}
	for _, table := range m.dump.Tables() {
		if slices.Contains(known, table) {
			continue
		}
		why := leftBehind[table]
		if why == "" {
			why = "the table is not known"
		}
		m.report.Left = append(m.report.Left, fmt.Sprintf("%s (%s)", table, why))
	}
}
