// Package gate keeps the guessing of secrets slow and cheap: Limits counts attempts by
// account and by client address in the database, for all instances together, and a
// Gate bounds how many passwords this process hashes at once, and how many wait.
//
//	attempt ─▶ Gate.Enter ─▶ Limits.Count ─▶ hashing ─▶ right: Forget
//
// Both are safe for concurrent use.
package gate
