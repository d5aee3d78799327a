package auth

// What tests expect in the audit log.
const (
	RoleChanged     = roleChanged
	SessionExpired  = sessionExpired
	SignInBlocked   = signInBlocked
	SignInSucceeded = signInSucceeded
	SignUpBlocked   = signUpBlocked
	SignUpSucceeded = signUpSucceeded
	SignedOut       = signedOut
	UserDeleted     = userDeleted
	UserRejected    = userRejected
)

// Actions lists every action.
func Actions() []Action {
	return []Action{
		ReadPublic, UseAccount, ReadRecords, ReadSeries, ReadHistory, ReadProgress, ListSessions,
		Ingest, ReportLive, WriteNotifications, EditSession, EditTracks, DeleteSession, RepairSession, OwnDashboard,
		RequestUpgrade, ChangePassword, OwnSessions, OwnCredentials, OwnLayouts, ManageUsers, ManageKeys, ReadAudit,
	}
}
