package auth

// MatchesForTest checks a password against a stored hash.
func MatchesForTest(stored, password string) bool {
	match, _ := newHasher(HashParams{MemoryKiB: 64, Iterations: 1}, "grains", nil, "").verify(stored, password)
	return match
}

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

var ValidHash = validHash

// Actions lists every action.
func Actions() []Action {
	return []Action{
		ReadPublic, UseAccount, ReadRecords, ReadSeries, ReadHistory, ReadProgress, ListSessions,
		Ingest, ReportLive, WriteNotifications, EditSession, DeleteSession, RepairSession, OwnDashboard,
		RequestUpgrade, ChangePassword, OwnSessions, ManageUsers, ManageKeys, ReadAudit,
	}
}
