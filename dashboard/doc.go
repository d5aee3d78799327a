// Package dashboard keeps what an account saves about its dashboards:
// preferences, views, the widgets in them and the alerts it has acknowledged.
//
//	owner's change ──▶ lock on the owner ──▶ limits, revision ──▶ rows ──▶ topic of the owner
//
// Every method acts for one owner, the account's id, and sees that owner's
// rows only. Codes and limits of errors are those of the function contract.
// Writes of one owner run one after another, so that limits and positions hold; a
// Service is safe for concurrent use. Times are milliseconds since 1970.
package dashboard
