// Package factor is the second factor of accounts: time-based one-time codes
// (TOTP, RFC 6238), the recovery codes that stand in for a lost device, and the app
// passwords of clients that can ask for neither.
//
//	Begin ─▶ secret, QR ─▶ authenticator ─▶ code ─▶ Confirm ─▶ recovery codes
//	                                         │
//	sign-in, password is right ──────────────┴─▶ Check ─▶ Passed, Recovered, Used or Wrong
//	                                             UseApp     an app password in the place of both
//
// Whoever calls has locked the account's row in the transaction, so that codes of
// one account are looked at one after the other, and has counted the attempt. Time
// is the database's. All state is in the database: any number of instances share it.
package factor
