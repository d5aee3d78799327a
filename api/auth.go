package api

import (
	"net/http"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

func (s *server) authRoutes() []Route {
	return []Route{
		{http.MethodPost, "/api/v1/auth/signup", auth.UseAccount, s.signUp},
		{http.MethodPost, "/api/v1/auth/signin", auth.UseAccount, s.signIn},
		{http.MethodPost, "/api/v1/auth/signout", auth.UseAccount, s.signOut},
		{http.MethodGet, "/api/v1/auth/session", auth.UseAccount, s.currentSession},
		{http.MethodPost, "/api/v1/auth/password", auth.ChangePassword, s.changePassword},
		{http.MethodPost, "/api/v1/auth/upgrade", auth.RequestUpgrade, s.requestUpgrade},
	}
}

// tokenView is a new bearer session. The token is not shown again.
type tokenView struct {
	Token     string    `json:"token"`
	UserID    string    `json:"user_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

func answerToken(r *Request, status int, result auth.Result, err error) error {
	if err != nil {
		return err
	}
	if f := result.Fault(); f != nil {
		return f
	}
	return answer(r, status, tokenView{result.Token, result.UserID, result.ExpiresAt.UTC()})
}

func (s *server) signUp(r *Request) error {
	var in struct {
		Email         string    `json:"email"`
		Password      string    `json:"password"`
		Name          string    `json:"name"`
		RequestedRole auth.Role `json:"requested_role"`
	}
	if err := httpx.ReadJSON(r.Writer, r.Request, &in); err != nil {
		return err
	}
	switch in.RequestedRole {
	case "", auth.External, auth.Internal:
	default:
		return fault.Field("requested_role", "must be external or internal")
	}
	ctx := r.Request.Context()
	result, err := s.Auth.SignUp(ctx, auth.SignUp{
		Email: in.Email, Password: in.Password, Name: in.Name, RequestedRole: in.RequestedRole,
		Address: auth.ClientAddress(ctx),
	})
	return answerToken(r, http.StatusCreated, result, err)
}

func (s *server) signIn(r *Request) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Remember bool   `json:"remember"`
	}
	if err := httpx.ReadJSON(r.Writer, r.Request, &in); err != nil {
		return err
	}
	ctx := r.Request.Context()
	result, err := s.Auth.SignIn(ctx, auth.SignIn{
		Email: in.Email, Password: in.Password, Remember: in.Remember, Address: auth.ClientAddress(ctx),
	})
	return answerToken(r, http.StatusOK, result, err)
}

func (s *server) signOut(r *Request) error {
	ctx := r.Request.Context()
	token := credentials(r).Token
	if err := s.Auth.SignOut(ctx, token, auth.ClientAddress(ctx)); err != nil {
		return err
	}
	return answer(r, http.StatusNoContent, nil)
}

// answer sends a JSON answer that nobody may keep a copy of.
func answer(r *Request, status int, body any) error {
	r.Header("Cache-Control", "no-store")
	if body == nil {
		r.Status(status)
		r.Writer.WriteHeaderNow()
		return nil
	}
	r.JSON(status, body)
	return nil
}

// sessionAnswer is the caller's bearer session and who they are.
type sessionAnswer struct {
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	Persistent bool      `json:"persistent"`
	User       userView  `json:"user"`
}

func (s *server) currentSession(r *Request) error {
	ctx := r.Request.Context()
	session, err := s.Auth.VerifySession(ctx, credentials(r).Token)
	if err != nil {
		return err
	}
	profile, err := s.Auth.CurrentProfile(ctx, r.Principal)
	if err != nil {
		return err
	}
	if session == nil || profile == nil {
		return fault.Coded(fault.Unauthenticated, "UNAUTHENTICATED", "Sign in to continue.")
	}
	return answer(r, http.StatusOK, sessionAnswer{
		session.CreatedAt.UTC(), session.ExpiresAt.UTC(), session.Persistent, viewUser(*profile),
	})
}

func (s *server) changePassword(r *Request) error {
	var in struct {
		Current string `json:"current_password"`
		New     string `json:"new_password"`
	}
	if err := httpx.ReadJSON(r.Writer, r.Request, &in); err != nil {
		return err
	}
	ctx := r.Request.Context()
	result, err := s.Auth.ChangePassword(ctx, r.Principal, auth.PasswordChange{
		Current: in.Current, New: in.New, Address: auth.ClientAddress(ctx),
	})
	if err != nil {
		return err
	}
	if f := result.Fault(); f != nil {
		return f
	}
	return answer(r, http.StatusNoContent, nil)
}

func (s *server) requestUpgrade(r *Request) error {
	if err := s.Auth.RequestUpgrade(r.Request.Context(), r.Principal); err != nil {
		return err
	}
	return answer(r, http.StatusNoContent, nil)
}
