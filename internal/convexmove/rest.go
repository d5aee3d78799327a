package convexmove

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/convexdump"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
)

// notifications moves the messages for the driver, session by session.
func (m *mover) notifications(ctx context.Context) error {
	all, err := convexdump.All[notificationDocument](m.dump, tableNotifications)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b notificationDocument) int {
		return cmp.Or(cmp.Compare(a.SessionID, b.SessionID), cmp.Compare(a.CreationTime, b.CreationTime))
	})
	for len(all) > 0 {
		id := all[0].SessionID
		n := slices.IndexFunc(all, func(d notificationDocument) bool { return d.SessionID != id })
		if n < 0 {
			n = len(all)
		}
		list := make([]timeseries.ImportedNotification, n)
		for i, d := range all[:n] {
			list[i] = timeseries.ImportedNotification{NewNotification: d.NewNotification, StoredAt: d.created()}
		}
		all = all[n:]
		count := Count{Found: n}
		if !m.DryRun {
			added, err := m.Store.ImportNotifications(ctx, id, list)
			switch {
			case fault.As(err) != nil:
				count.Failed = n
				m.report.problem("notifications of session %q: not moved: %v", id, err)
			case err != nil:
				return err
			default:
				count.Added, count.Present = added, n-added
			}
		}
		m.report.Notifications.add(count)
	}
	return nil
}

// liveState moves what was last said of the run on the road, unless something
// was said here already.
func (m *mover) liveState(ctx context.Context) error {
	states, err := convexdump.All[liveDocument](m.dump, tableLive)
	if err != nil {
		return err
	}
	for _, d := range states[:min(1, len(states))] {
		m.report.LiveState.Found++
		if m.DryRun {
			continue
		}
		here, err := m.Store.LiveState(ctx)
		if err != nil {
			return err
		}
		if here != nil {
			m.report.LiveState.Present++
			continue
		}
		_, err = m.Store.ReportLive(ctx, timeseries.LiveReport{
			Status: d.Status, SessionID: d.SessionID, SessionName: d.SessionName, StartedAt: d.StartedAt,
			EndedAt: d.EndedAt, Reason: d.Reason, RecordCount: d.RecordCount,
		})
		switch {
		case fault.As(err) != nil:
			m.report.LiveState.Failed++
			m.report.problem("live state: not moved: %v", err)
		case err != nil:
			return err
		default:
			m.report.LiveState.Added++
		}
	}
	return nil
}

// dashboards moves what accounts keep about their dashboards.
func (m *mover) dashboards(ctx context.Context) error {
	owners, err := m.listDashboards()
	if err != nil {
		return err
	}
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		in := owners[owner]
		found := countsOf(*in)
		var added dashboard.ImportCounts
		failed := false
		id, known := m.owners[owner]
		switch {
		case !known:
			failed = true
			m.report.problem("dashboards of account %s: not moved: the account is not in the snapshot or could not be moved", owner)
		case !m.DryRun:
			added, err = m.Dashboards.Import(ctx, id, *in)
			if fault.As(err) != nil {
				failed = true
				m.report.problem("dashboards of account %s: not moved: %v", owner, err)
			} else if err != nil {
				return err
			}
		}
		for _, c := range []struct {
			count        *Count
			found, added int
		}{
			{&m.report.Preferences, found.Preferences, added.Preferences},
			{&m.report.Views, found.Views, added.Views},
			{&m.report.Widgets, found.Widgets, added.Widgets},
			{&m.report.Acknowledgements, found.Acknowledgements, added.Acknowledgements},
		} {
			one := Count{Found: c.found, Added: c.added}
			switch {
			case failed:
				one.Failed = c.found
			case !m.DryRun:
				one.Present = c.found - c.added
			}
			c.count.add(one)
		}
	}
	return nil
}

func countsOf(in dashboard.Imported) dashboard.ImportCounts {
	c := dashboard.ImportCounts{Views: len(in.Views), Acknowledgements: len(in.Acknowledgements)}
	if in.Preferences != nil {
		c.Preferences = 1
	}
	for _, v := range in.Views {
		c.Widgets += len(v.Widgets)
	}
	return c
}

// listDashboards collects each account's documents.
func (m *mover) listDashboards() (map[string]*dashboard.Imported, error) {
	preferences, errPreferences := convexdump.All[preferencesDocument](m.dump, tablePreferences)
	views, errViews := convexdump.All[viewDocument](m.dump, tableViews)
	widgets, errWidgets := convexdump.All[widgetDocument](m.dump, tableWidgets)
	alerts, errAlerts := convexdump.All[alertDocument](m.dump, tableAlerts)
	if err := errors.Join(errPreferences, errViews, errWidgets, errAlerts); err != nil {
		return nil, err
	}
	owners := map[string]*dashboard.Imported{}
	of := func(owner string) *dashboard.Imported {
		if owners[owner] == nil {
			owners[owner] = &dashboard.Imported{}
		}
		return owners[owner]
	}
	for _, p := range preferences {
		of(p.OwnerID).Preferences = &dashboard.ImportedPreferences{
			ID: p.ID, CreatedAt: p.created(), UpdatedAt: millisOr(p.UpdatedAt, p.created()),
			PreferencesChange: dashboard.PreferencesChange{
				Theme: p.Theme, DefaultViewKey: p.DefaultViewKey, LastViewKey: p.LastViewKey,
				SystemViewVersion: p.SystemViewVersion, LegacyImportVersion: p.LegacyImportVersion,
			},
		}
	}
	slices.SortStableFunc(views, func(a, b viewDocument) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.CreationTime, b.CreationTime))
	})
	slices.SortStableFunc(widgets, func(a, b widgetDocument) int { return cmp.Compare(a.CreationTime, b.CreationTime) })
	byView := map[string][]dashboard.ImportedWidget{}
	for _, w := range widgets {
		created := millisOr(w.CreatedAt, w.created())
		byView[w.ViewID] = append(byView[w.ViewID], dashboard.ImportedWidget{
			ID: w.ID, WidgetInput: w.WidgetInput, CreatedAt: created, UpdatedAt: millisOr(w.UpdatedAt, created),
		})
	}
	for _, v := range views {
		created := millisOr(v.CreatedAt, v.created())
		in := of(v.OwnerID)
		in.Views = append(in.Views, dashboard.ImportedView{
			ID: v.ID, Revision: max(1, int(v.Revision)), CreatedAt: created, UpdatedAt: millisOr(v.UpdatedAt, created),
			NewView: dashboard.NewView{ViewKey: v.ViewKey, Name: v.Name, Kind: v.Kind, SystemViewID: v.SystemViewID},
			Widgets: byView[v.ID],
		})
		delete(byView, v.ID)
	}
	for id, orphans := range byView {
		m.report.Widgets.add(Count{Found: len(orphans), Failed: len(orphans)})
		m.report.problem("view %s is not in the snapshot, so its %d widgets were not moved", id, len(orphans))
	}
	for _, a := range alerts {
		in := of(a.OwnerID)
		in.Acknowledgements = append(in.Acknowledgements, dashboard.ImportedAcknowledgement{
			ID: a.ID, EventKey: a.EventKey, SessionID: a.SessionID, CreatedAt: a.created(),
			AcknowledgedAt: millisOr(a.AcknowledgedAt, a.created()),
		})
	}
	return owners, nil
}
