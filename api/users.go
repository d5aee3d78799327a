package api

import (
	"context"
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

func (s *server) userRoutes() []route {
	return []route{
		rest.JSON("GET", "/api/v1/users", auth.ManageUsers, "List accounts, oldest first.", s.listUsers),
		rest.JSON("POST", "/api/v1/users", auth.ManageUsers, "Make an account.", s.createUser, rest.Created("The account"), rest.FailsWith(fault.Conflict)),
		rest.JSON("GET", "/api/v1/users/:id", auth.ManageUsers, "Describe an account.", s.getUser),
		rest.JSON("PATCH", "/api/v1/users/:id", auth.ManageUsers, "Give an account a role, which approves it. The last administrator keeps theirs (LAST_ADMIN).", s.patchUser,
			rest.FailsWith(fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/users/:id", auth.ManageUsers, "Delete an account with its sessions.", s.deleteUser, rest.FailsWith(fault.Conflict)),
		rest.JSON("GET", "/api/v1/users/:id/sessions", auth.ManageUsers, "List an account's sessions, the newest first.", s.userSessions),
		rest.JSON("DELETE", "/api/v1/users/:id/sessions", auth.ManageUsers, "End all sessions of an account.", s.endUserSessions),
		rest.JSON("POST", "/api/v1/users/:id/reject", auth.ManageUsers, "Decline an account's request.", s.changeUser((*auth.Service).Reject), rest.FailsWith(fault.Conflict)),
		rest.JSON("POST", "/api/v1/users/:id/ban", auth.ManageUsers, "Lock an account out and end its sessions.", s.changeUser((*auth.Service).Ban), rest.FailsWith(fault.Conflict)),
		rest.JSON("POST", "/api/v1/users/:id/unban", auth.ManageUsers, "Let a banned account in again, as external.", s.changeUser((*auth.Service).Unban), rest.FailsWith(fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/users/:id/second-factor", auth.ManageUsers, "Remove an account's second factor, and end its sessions.", s.resetFactor),
		rest.JSON("POST", "/api/v1/users/:id/password", auth.ManageUsers, "Set an account's password and end its sessions.", s.resetPassword),
	}
}

// userView is an account as REST shows it.
type userView struct {
	ID            string        `json:"user_id"`
	Email         string        `json:"email"`
	Name          *string       `json:"name"`
	Role          auth.Role     `json:"role"`
	RequestedRole *auth.Role    `json:"requested_role"`
	Approval      auth.Approval `json:"approval_status"`
	CreatedAt     time.Time     `json:"created_at"`
	SecondFactor  bool          `json:"second_factor" doc:"One is in force"`
}

func viewUser(p auth.Profile) userView {
	return userView{
		p.UserID, p.Email, rest.NullIfZero(p.Name), p.Role, rest.NullIfZero(p.RequestedRole), p.Approval, p.CreatedAt.UTC(), p.SecondFactor,
	}
}

type listUsersParams struct {
	Status auth.Approval `query:"status" enum:"pending,approved,rejected" doc:"Only accounts of this approval status"`
}

type usersAnswer struct {
	Users []userView `json:"users"`
}

func (s *server) listUsers(r *request, p *listUsersParams) (usersAnswer, error) {
	read := s.Auth.Users
	if p.Status == auth.Pending {
		read = s.Auth.PendingUsers
	}
	profiles, err := read(r.Request.Context(), r.Principal)
	if err != nil {
		return usersAnswer{}, err
	}
	views := []userView{}
	for _, profile := range profiles {
		if p.Status == "" || profile.Approval == p.Status {
			views = append(views, viewUser(profile))
		}
	}
	return usersAnswer{views}, nil
}

type createUserParams struct {
	Body struct {
		Email    string    `json:"email"`
		Password string    `json:"password"`
		Name     string    `json:"name,omitempty"`
		Role     auth.Role `json:"role"`
	}
}

func (s *server) createUser(r *request, p *createUserParams) (userView, error) {
	in := p.Body
	id, err := s.Auth.CreateAccount(r.Request.Context(), r.Principal, auth.NewAccount{
		Email: in.Email, Password: in.Password, Name: in.Name, Role: in.Role,
	})
	if err != nil {
		return userView{}, err
	}
	return s.user(r, id)
}

func (s *server) getUser(r *request, _ *none) (userView, error) { return s.user(r, r.Param("id")) }

func (s *server) user(r *request, id string) (userView, error) {
	profile, err := s.Auth.FindUser(r.Request.Context(), r.Principal, id)
	if err != nil {
		return userView{}, err
	}
	return viewUser(profile), nil
}

type patchUserParams struct {
	Body struct {
		Role auth.Role `json:"role"`
	}
}

func (s *server) patchUser(r *request, p *patchUserParams) (userView, error) {
	if err := s.Auth.SetRole(r.Request.Context(), r.Principal, r.Param("id"), p.Body.Role); err != nil {
		return userView{}, err
	}
	return s.user(r, r.Param("id"))
}

func (s *server) changeUser(change func(*auth.Service, context.Context, auth.Principal, string) error) func(*request, *none) (userView, error) {
	return func(r *request, _ *none) (userView, error) {
		if err := change(s.Auth, r.Request.Context(), r.Principal, r.Param("id")); err != nil {
			return userView{}, err
		}
		return s.user(r, r.Param("id"))
	}
}

func (s *server) deleteUser(r *request, _ *none) (none, error) {
	return none{}, s.Auth.Delete(r.Request.Context(), r.Principal, r.Param("id"))
}

type resetPasswordParams struct {
	Body struct {
		New string `json:"new_password"`
	}
}

func (s *server) resetPassword(r *request, p *resetPasswordParams) (none, error) {
	return none{}, s.Auth.ResetPassword(r.Request.Context(), r.Principal, r.Param("id"), p.Body.New)
}

func (s *server) userSessions(r *request, _ *none) (bearersAnswer, error) {
	return s.sessionsOf(r, r.Param("id"))
}

func (s *server) endUserSessions(r *request, _ *none) (none, error) {
	return none{}, s.Auth.EndSessionsOf(r.Request.Context(), r.Principal, r.Param("id"))
}

func (s *server) resetFactor(r *request, _ *none) (none, error) {
	return none{}, s.Auth.ResetFactor(r.Request.Context(), r.Principal, r.Param("id"))
}
