package api

import (
	"context"
	"net/http"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

func (s *server) userRoutes() []Route {
	return []Route{
		{http.MethodGet, "/api/v1/users", auth.ManageUsers, s.listUsers},
		{http.MethodPost, "/api/v1/users", auth.ManageUsers, s.createUser},
		{http.MethodGet, "/api/v1/users/:id", auth.ManageUsers, s.getUser},
		{http.MethodPatch, "/api/v1/users/:id", auth.ManageUsers, s.patchUser},
		{http.MethodDelete, "/api/v1/users/:id", auth.ManageUsers, s.deleteUser},
		{http.MethodPost, "/api/v1/users/:id/reject", auth.ManageUsers, s.changeUser((*auth.Service).Reject)},
		{http.MethodPost, "/api/v1/users/:id/ban", auth.ManageUsers, s.changeUser((*auth.Service).Ban)},
		{http.MethodPost, "/api/v1/users/:id/password", auth.ManageUsers, s.resetPassword},
	}
}

// userView is an account as REST shows it.
type userView struct {
	ID            string        `json:"user_id"`
	Email         string        `json:"email"`
	Name          any           `json:"name"`
	Role          auth.Role     `json:"role"`
	RequestedRole any           `json:"requested_role"`
	Approval      auth.Approval `json:"approval_status"`
	CreatedAt     time.Time     `json:"created_at"`
}

func viewUser(p auth.Profile) userView {
	return userView{
		p.UserID, p.Email, nullIfEmpty(p.Name), p.Role, nullIfEmpty(string(p.RequestedRole)), p.Approval, p.CreatedAt.UTC(),
	}
}

func (s *server) listUsers(r *Request) error {
	read := s.Auth.Users
	switch r.Query("approval_status") {
	case "":
	case string(auth.Pending):
		read = s.Auth.PendingUsers
	default:
		return fault.Field("approval_status", "must be pending, or absent for every account")
	}
	profiles, err := read(r.Request.Context(), r.Principal)
	if err != nil {
		return err
	}
	views := make([]userView, len(profiles))
	for i, p := range profiles {
		views[i] = viewUser(p)
	}
	return answer(r, http.StatusOK, map[string]any{"users": views})
}

func (s *server) createUser(r *Request) error {
	var in struct {
		Email    string    `json:"email"`
		Password string    `json:"password"`
		Name     string    `json:"name"`
		Role     auth.Role `json:"role"`
	}
	if err := httpx.ReadJSON(r.Writer, r.Request, &in); err != nil {
		return err
	}
	id, err := s.Auth.CreateAccount(r.Request.Context(), r.Principal, auth.NewAccount{
		Email: in.Email, Password: in.Password, Name: in.Name, Role: in.Role,
	})
	if err != nil {
		return err
	}
	return s.answerUser(r, http.StatusCreated, id)
}

func (s *server) getUser(r *Request) error { return s.answerUser(r, http.StatusOK, r.Param("id")) }

func (s *server) answerUser(r *Request, status int, id string) error {
	profile, err := s.Auth.FindUser(r.Request.Context(), r.Principal, id)
	if err != nil {
		return err
	}
	return answer(r, status, viewUser(profile))
}

func (s *server) patchUser(r *Request) error {
	var in struct {
		Role auth.Role `json:"role"`
	}
	if err := httpx.ReadJSON(r.Writer, r.Request, &in); err != nil {
		return err
	}
	if err := s.Auth.SetRole(r.Request.Context(), r.Principal, r.Param("id"), in.Role); err != nil {
		return err
	}
	return s.getUser(r)
}

func (s *server) changeUser(change func(*auth.Service, context.Context, auth.Principal, string) error) func(*Request) error {
	return func(r *Request) error {
		if err := change(s.Auth, r.Request.Context(), r.Principal, r.Param("id")); err != nil {
			return err
		}
		return s.getUser(r)
	}
}

func (s *server) deleteUser(r *Request) error {
	if err := s.Auth.Delete(r.Request.Context(), r.Principal, r.Param("id")); err != nil {
		return err
	}
	return answer(r, http.StatusNoContent, nil)
}

func (s *server) resetPassword(r *Request) error {
	var in struct {
		New string `json:"new_password"`
	}
	if err := httpx.ReadJSON(r.Writer, r.Request, &in); err != nil {
		return err
	}
	if err := s.Auth.ResetPassword(r.Request.Context(), r.Principal, r.Param("id"), in.New); err != nil {
		return err
	}
	return answer(r, http.StatusNoContent, nil)
}
