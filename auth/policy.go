package auth

import (
	"slices"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Action is something that a caller may want to do. Every function and every
// route names exactly one.
type Action string

// The actions.
const (
	// ReadPublic is the live lifecycle state, public settings, Ably tokens,
	// health and driver notifications. Everybody may.
	ReadPublic Action = "public.read"
	// UseAccount is signing up, in and out, and asking who one is. Everybody may.
	UseAccount Action = "account.use"
	// ReadRecords is reading records of one session: its history for those who
	// may see it, or the live window for everybody.
	ReadRecords Action = "records.read"
	// ReadSeries is reading charts and summaries of one session; the same rule.
	ReadSeries Action = "series.read"
	// ReadHistory is reading archives and exports: the history rule without
	// the exception for live sessions.
	ReadHistory Action = "history.read"
	// ReadProgress is what an importer checks its work with (newest time and
	// count of a session): ReadRecords, or any deploy key.
	ReadProgress Action = "progress.read"
	// ListSessions is listing sessions; Decision.Window bounds what is listed.
	ListSessions Action = "sessions.list"
	// Ingest is storing records.
	Ingest Action = "records.ingest"
	// ReportLive is reporting the live lifecycle state.
	ReportLive Action = "live.report"
	// WriteNotifications is storing and pruning driver notifications.
	WriteNotifications Action = "notifications.write"
	// EditSession is naming a run, writing its book and noting things of it, and merging a logger's file into it.
	EditSession Action = "sessions.edit"
	// DeleteSession is deleting a run.
	DeleteSession Action = "sessions.delete"
	// RepairSession is putting back, or dropping, records that were set aside, and
	// shifting a run.
	RepairSession Action = "sessions.repair"
	// EditChannels is declaring, describing and hiding channels.
	EditChannels Action = "channels.edit"
	// ComputeChannels is making math channels.
	ComputeChannels Action = "channels.compute"
	// EditTracks is naming circuits and their sectors, and moving gates.
	EditTracks Action = "tracks.edit"
	// OwnDashboard is reading and writing one's own dashboard rows.
	OwnDashboard Action = "dashboard.own"
	// RequestUpgrade is asking to become internal.
	RequestUpgrade Action = "account.upgrade"
	// ChangePassword is changing one's own password.
	ChangePassword Action = "account.password"
	// OwnSessions is listing and ending one's own sessions.
	OwnSessions Action = "account.sessions"
	// OwnCredentials is one's own second factor, app passwords, and notices about
	// changed credentials.
	OwnCredentials Action = "account.credentials"
	// OwnPreferences is what one likes to see, such as in which units.
	OwnPreferences Action = "account.preferences"
	// OwnLayouts is how one likes charts arranged.
	OwnLayouts Action = "account.layouts"
	// ManageUsers is listing and changing other accounts.
	ManageUsers Action = "users.manage"
	// ManageKeys is listing, making and revoking deploy keys.
	ManageKeys Action = "keys.manage"
	// ReadAudit is reading the audit log.
	ReadAudit Action = "audit.read"
)

// HistoryWindow is how far back external accounts see, by the session's start.
const HistoryWindow = 7 * 24 * time.Hour

// SessionAge is what the history rule needs to know of a session. The zero
// value is an unknown session.
type SessionAge struct {
	Known  bool      // the session exists
	Start  time.Time // its start; zero when it cannot be read as a time
	Newest time.Time // its newest record; zero when there is none
	Now    time.Time // the database's clock when the two were read
}

// live reports whether the session is live.
func (s SessionAge) live() bool {
	return s.Known && !s.Newest.IsZero() && s.Now.Sub(s.Newest) <= schema.LiveWindow
}

// liveUntil is when the session stops being live unless records arrive; zero
// when it is not live now. A reactive answer that rests on it ends then.
func (s SessionAge) liveUntil() time.Time {
	if !s.live() {
		return time.Time{}
	}
	return s.Newest.Add(schema.LiveWindow)
}

// recent reports whether the session started within the history window. A
// start in the future (a vehicle's clock running ahead) counts as recent.
func (s SessionAge) recent() bool {
	return s.Known && !s.Start.IsZero() && s.Now.Sub(s.Start) <= HistoryWindow
}

// Decision is the answer of Allow. The zero value refuses.
type Decision struct {
	Allowed bool
	// Window bounds, for ListSessions, how long ago a listed session may have
	// started; zero is no bound.
	Window time.Duration
	// Until is when the decision stops holding although nothing is written:
	// the session leaves the live or the history window. Zero: it does not.
	Until time.Time
	// Err is the refusal, ready for the caller. Reads that the contract
	// answers with an empty shape look at Allowed only.
	Err *fault.Error
}

// Since is where the history begins that may be listed; nil is all of it.
func (d Decision) Since() *time.Time {
	if d.Window == 0 {
		return nil
	}
	since := time.Now().Add(-d.Window)
	return &since
}

// grant says who may take an action.
type grant struct {
	roles  []Role // may always
	ingest bool   // ingest-scoped keys may
	signed bool   // any signed-in account may, guests too
	known  bool   // signed-in accounts but guests may
	// history lets external accounts in for recent sessions, live everybody
	// for live ones.
	history, live bool
	code, message string // of the refusal; the code is the function contract's
}

var (
	everybody = []Role{Guest, External, Internal, Admin}
	team      = []Role{Internal, Admin}
	admins    = []Role{Admin}
)

// policy is the contract's table of roles and capabilities. An action that is
// not in it is refused.
var policy = map[Action]grant{
	ReadPublic:         {roles: everybody, ingest: true},
	UseAccount:         {roles: everybody, ingest: true},
	ReadRecords:        {roles: team, history: true, live: true},
	ReadSeries:         {roles: team, history: true, live: true},
	ReadHistory:        {roles: team, history: true},
	ReadProgress:       {roles: team, history: true, live: true, ingest: true},
	ListSessions:       {roles: []Role{External, Internal, Admin}},
	Ingest:             {roles: admins, ingest: true, code: "UNAUTHENTICATED", message: "A deploy key or an admin session is required."},
	ReportLive:         {roles: admins, ingest: true, code: "UNAUTHENTICATED", message: "A deploy key or an admin session is required."},
	WriteNotifications: {roles: admins, ingest: true, code: "UNAUTHENTICATED", message: "A deploy key or an admin session is required."},
	EditSession:        {roles: team},
	DeleteSession:      {roles: admins, code: "FORBIDDEN", message: "Only administrators can delete a run."},
	RepairSession:      {roles: admins, code: "FORBIDDEN", message: "Only administrators can repair a run."},
	EditChannels:       {roles: admins, code: "FORBIDDEN", message: "Only administrators can edit channels."},
	ComputeChannels:    {roles: team},
	EditTracks:         {roles: team},
	OwnDashboard:       {signed: true},
	RequestUpgrade:     {signed: true},
	ChangePassword:     {signed: true},
	OwnSessions:        {signed: true},
	OwnCredentials:     {signed: true},
	OwnPreferences:     {signed: true},
	OwnLayouts:         {known: true},
	ManageUsers:        {roles: admins},
	ManageKeys:         {roles: admins},
	ReadAudit:          {roles: admins},
}

// Allow decides whether the principal may take the action. It is the one place
// that does: functions, routes and sockets all ask here. The session matters
// only for the actions that read one.
func Allow(p Principal, action Action, session SessionAge) Decision {
	g, ok := policy[action]
	if !ok {
		return Decision{Err: fault.Coded(fault.Forbidden, "FORBIDDEN", "Not allowed.")}
	}
	role := p.EffectiveRole()
	switch {
	case g.signed && p.SignedIn(),
		g.known && p.SignedIn() && role != Guest,
		g.ingest && p.Key != nil,
		slices.Contains(g.roles, role):
		d := Decision{Allowed: true}
		if action == ListSessions && role == External {
			d.Window = HistoryWindow
		}
		return d
	case g.history && role == External && session.recent():
		return Decision{Allowed: true, Until: session.Start.Add(HistoryWindow)}
	case g.live && session.live():
		return Decision{Allowed: true, Until: session.liveUntil()}
	}
	if p.NoFactor && slices.Contains(g.roles, p.Role) {
		return Decision{Err: fault.Coded(fault.Forbidden, "SECOND_FACTOR_MISSING", "Administrators need a second factor here. Set it up on your account's page first.")}
	}
	return Decision{Err: g.refusal(p)}
}

// refusal tells apart who must sign in and who may not although signed in.
func (g grant) refusal(p Principal) *fault.Error {
	anonymous := !p.SignedIn() && p.Key == nil
	switch {
	case g.code != "":
		kind := fault.Forbidden
		if anonymous {
			kind = fault.Unauthenticated
		}
		code := g.code
		if code == "UNAUTHENTICATED" && !anonymous {
			code = "UNAUTHORIZED"
		}
		return fault.Coded(kind, code, "%s", g.message)
	case anonymous, g.signed:
		return fault.Coded(fault.Unauthenticated, "UNAUTHENTICATED", "Sign in to continue.")
	}
	return fault.Coded(fault.Forbidden, "UNAUTHORIZED", "You are not allowed to do this.")
}
