// Package auth knows who may do what: accounts and their passwords, bearer
// sessions, deploy keys, roles, attempt limits and the audit log.
//
//	token ──┐                                 action, age of the session
//	        ├─▶ Service.Resolve ──▶ Principal ──┐      │
//	key   ──┘      one indexed read each        └──▶ Allow ──▶ Decision, until when
//
// A request is first turned into a Principal (Service.Resolve) and then
// weighed by Allow, which is the only place that decides access. Nothing about
// a principal is cached, so that every instance sees a ban, a sign-out or a
// revoked key with its next request.
//
// The rooms beside it know no accounts: check says what may be an e-mail, a name or
// a password, secret what is stored in the place of secrets, factor keeps second
// factors and app passwords, and gate bounds the work of hashing.
//
// Service is safe for concurrent use. All state is in the database, except for
// the gate, which bounds how many passwords are hashed at once in this process.
package auth
