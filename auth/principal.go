package auth

import (
	"time"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Principal is who a request speaks for. The zero value is a guest.
//
// A request may carry a deploy key and a bearer token together: then Key is
// set and Role and UserID are those of the token's account.
type Principal struct {
	Role      Role         // empty means guest
	UserID    string       // account id; empty when nobody is signed in
	SessionID string       // id of the bearer session (not the token); empty without one
	Key       *KeyIdentity // the deploy key, or nil
	ExpiresAt time.Time    // when the bearer session or key ends; zero: it does not
	// NoFactor is set for an administrator without the second factor that the
	// settings demand, who may no more than internal accounts until it is set up.
	NoFactor bool
	units    string // see PreferredUnits
}

// EffectiveRole is the role, with the zero value read as guest, an admin-scoped
// key read as admin, and NoFactor heeded.
func (p Principal) EffectiveRole() Role {
	if p.Key != nil && p.Key.Scope == ScopeAdmin {
		return Admin
	}
	switch {
	case !p.Role.valid():
		return Guest
	case p.NoFactor:
		return Internal
	}
	return p.Role
}

// SignedIn reports whether the principal is an account with a live session.
func (p Principal) SignedIn() bool { return p.UserID != "" }

// Topics name the changes that may turn the principal into somebody else: of
// its account and of its key. Whoever acts on a principal for longer than one
// request watches them, and resolves the credentials again on a change.
func (p Principal) Topics() []string {
	var topics []string
	if p.SignedIn() {
		topics = append(topics, schema.TopicUser(p.UserID))
	}
	if p.Key != nil {
		topics = append(topics, schema.TopicKey(p.Key.ID))
	}
	return topics
}

// Operator is the principal of somebody at the command line: whoever holds the
// database's password needs no other permission. The name is what the audit
// log shows.
func Operator(name string) Principal {
	return Principal{Key: &KeyIdentity{ID: name, Name: name, Scope: ScopeAdmin}}
}

// actor is how the audit log names the principal when it is not an account.
func (p Principal) actor() string {
	if p.Key != nil {
		return p.Key.ID
	}
	return ""
}

// Scope says what a deploy key is good for.
type Scope string

// The scopes.
const (
	// ScopeIngest stores records, reports the live state, writes driver
	// notifications and reads what the importer checks its work with.
	ScopeIngest Scope = "ingest"
	// ScopeAdmin may do everything that needs no account of its own.
	ScopeAdmin Scope = "admin"
)

// valid reports whether s is one of the scopes.
func (s Scope) valid() bool { return s == ScopeIngest || s == ScopeAdmin }

// KeyIdentity is a deploy key that was found valid.
type KeyIdentity struct {
	ID    string // row id, or the name for a key that came from the settings
	Name  string
	Scope Scope
	// NoChannels says that what records which come by it bring makes no channels.
	NoChannels bool
}

// MakesNoChannels reports whether records that the principal sends make no channels.
func (p Principal) MakesNoChannels() bool { return p.Key != nil && p.Key.NoChannels }
