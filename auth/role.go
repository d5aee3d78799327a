package auth

// Role is what an account may be. It says nothing about approval: a pending or
// rejected external account is still external.
type Role string

// The roles, from the least to the most trusted.
const (
	Guest    Role = "guest"
	External Role = "external"
	Internal Role = "internal"
	Admin    Role = "admin"
)

// Roles lists every role, the least trusted first.
func Roles() []Role { return []Role{Guest, External, Internal, Admin} }

// valid reports whether r is one of the four roles.
func (r Role) valid() bool {
	switch r {
	case Guest, External, Internal, Admin:
		return true
	}
	return false
}
