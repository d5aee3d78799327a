package auth_test

import (
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

var now = time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)

func session(started, newest time.Duration) auth.SessionAge {
	return auth.SessionAge{Known: true, Start: now.Add(-started), Newest: now.Add(-newest), Now: now}
}

const day = 24 * time.Hour

var sessions = map[string]auth.SessionAge{
	"unknown":      {Now: now},
	"no start":     {Known: true, Newest: now.Add(-time.Hour), Now: now},
	"live":         session(time.Hour, 5*time.Minute),
	"recent":       session(7*day, 5*time.Minute+time.Microsecond),
	"old":          session(7*day+time.Microsecond, 7*day),
	"old but live": session(8*day, time.Second),
}

func principals() map[string]auth.Principal {
	return map[string]auth.Principal{
		"nobody":     {},
		"guest":      {Role: auth.Guest, UserID: "g"},
		"external":   {Role: auth.External, UserID: "e"},
		"internal":   {Role: auth.Internal, UserID: "i"},
		"admin":      {Role: auth.Admin, UserID: "a"},
		"ingest key": {Key: &auth.KeyIdentity{ID: "k", Scope: auth.ScopeIngest}},
		"admin key":  {Key: &auth.KeyIdentity{ID: "k", Scope: auth.ScopeAdmin}},
		"bad role":   {Role: "root", UserID: "x"},
	}
}

// who may take each action, and of which sessions where that matters.
func TestAllow(t *testing.T) {
	t.Parallel()
	type cell struct{ who, session string }
	everybody := []string{"nobody", "guest", "external", "internal", "admin", "ingest key", "admin key", "bad role"}
	accounts := []string{"guest", "external", "internal", "admin", "bad role"}
	team := []string{"internal", "admin", "admin key"}
	admins := []string{"admin", "admin key"}
	machines := []string{"admin", "admin key", "ingest key"}
	all := []string{"unknown", "no start", "live", "recent", "old", "old but live"}

	cells := func(who []string, which ...string) (out []cell) {
		for _, w := range who {
			for _, s := range which {
				out = append(out, cell{w, s})
			}
		}
		return out
	}
	history := append(cells(team, all...), cells([]string{"external"}, "live", "recent")...)
	records := append(append([]cell{}, history...), cells(everybody, "live", "old but live")...)
	want := map[auth.Action][]cell{
		auth.ReadPublic:         cells(everybody, all...),
		auth.UseAccount:         cells(everybody, all...),
		auth.ReadRecords:        records,
		auth.ReadSeries:         records,
		auth.ReadHistory:        history,
		auth.ReadProgress:       append(append([]cell{}, records...), cells([]string{"ingest key"}, all...)...),
		auth.ListSessions:       cells([]string{"external", "internal", "admin", "admin key"}, all...),
		auth.Ingest:             cells(machines, all...),
		auth.ReportLive:         cells(machines, all...),
		auth.WriteNotifications: cells(machines, all...),
		auth.EditSession:        cells(team, all...),
		auth.EditTracks:         cells(team, all...),
		auth.DeleteSession:      cells(admins, all...),
		auth.RepairSession:      cells(admins, all...),
		auth.OwnDashboard:       cells(accounts, all...),
		auth.RequestUpgrade:     cells(accounts, all...),
		auth.ChangePassword:     cells(accounts, all...),
		auth.OwnSessions:        cells(accounts, all...),
		auth.OwnCredentials:     cells(accounts, all...),
		auth.OwnLayouts:         cells([]string{"external", "internal", "admin"}, all...),
		auth.ManageUsers:        cells(admins, all...),
		auth.ManageKeys:         cells(admins, all...),
		auth.ReadAudit:          cells(admins, all...),
	}
	if len(want) != len(auth.Actions()) {
		t.Errorf("the table has %d actions, auth has %d", len(want), len(auth.Actions()))
	}
	for _, action := range auth.Actions() {
		allowed := map[cell]bool{}
		for _, c := range want[action] {
			allowed[c] = true
		}
		for who, p := range principals() {
			for name, s := range sessions {
				d := auth.Allow(p, action, s)
				if d.Allowed != allowed[cell{who, name}] {
					t.Errorf("%s, %s, session %s: allowed = %v", who, action, name, d.Allowed)
				}
				if d.Allowed != (d.Err == nil) {
					t.Errorf("%s, %s, session %s: allowed = %v with error %v", who, action, name, d.Allowed, d.Err)
				}
			}
		}
	}
}

func TestAllowRefusesUnknownAction(t *testing.T) {
	t.Parallel()
	if d := auth.Allow(auth.Principal{Role: auth.Admin, UserID: "a"}, "unheard.of", auth.SessionAge{}); d.Allowed || d.Err == nil {
		t.Errorf("Allow = %+v, want a refusal", d)
	}
}

func TestAllowBounds(t *testing.T) {
	t.Parallel()
	p := principals()
	if got := auth.Allow(p["external"], auth.ListSessions, auth.SessionAge{}).Window; got != 7*day {
		t.Errorf("external accounts list the last %v, want 7 days", got)
	}
	for _, who := range []string{"internal", "admin", "admin key"} {
		if got := auth.Allow(p[who], auth.ListSessions, auth.SessionAge{}).Window; got != 0 {
			t.Errorf("%s lists the last %v, want everything", who, got)
		}
	}
	tests := []struct {
		who, session string
		want         time.Time
	}{
		{"nobody", "live", now},
		{"nobody", "old but live", now.Add(5*time.Minute - time.Second)},
		{"external", "recent", now},
		{"external", "live", now.Add(7*day - time.Hour)},
		{"external", "old but live", now.Add(5*time.Minute - time.Second)},
		{"internal", "live", time.Time{}},
	}
	for _, tt := range tests {
		if got := auth.Allow(p[tt.who], auth.ReadRecords, sessions[tt.session]).Until; !got.Equal(tt.want) {
			t.Errorf("%s reading a session that is %s: holds until %v, want %v", tt.who, tt.session, got, tt.want)
		}
	}
}

func TestAllowRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		who    string
		action auth.Action
		kind   fault.Kind
		code   string
	}{
		{"nobody", auth.ManageUsers, fault.Unauthenticated, "UNAUTHENTICATED"},
		{"external", auth.ManageUsers, fault.Forbidden, "UNAUTHORIZED"},
		{"ingest key", auth.ManageUsers, fault.Forbidden, "UNAUTHORIZED"},
		{"nobody", auth.DeleteSession, fault.Unauthenticated, "FORBIDDEN"},
		{"internal", auth.DeleteSession, fault.Forbidden, "FORBIDDEN"},
		{"nobody", auth.Ingest, fault.Unauthenticated, "UNAUTHENTICATED"},
		{"internal", auth.Ingest, fault.Forbidden, "UNAUTHORIZED"},
		{"nobody", auth.OwnDashboard, fault.Unauthenticated, "UNAUTHENTICATED"},
		{"admin key", auth.OwnDashboard, fault.Unauthenticated, "UNAUTHENTICATED"},
	}
	for _, tt := range tests {
		err := auth.Allow(principals()[tt.who], tt.action, auth.SessionAge{}).Err
		if err == nil || err.Kind != tt.kind || err.Code != tt.code || err.Message == "" {
			t.Errorf("%s, %s: refused with %+v, want kind %v and code %s", tt.who, tt.action, err, tt.kind, tt.code)
		}
	}
}
