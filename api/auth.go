package api

import (
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

func (s *server) authRoutes() []route {
	return []route{
		rest.JSON("POST", "/api/v1/auth/signup", auth.UseAccount, "Make an account and sign in. Who asks to be internal is external until an administrator decides.", s.signUp,
			rest.Created("A token"), rest.FailsWith(fault.RateLimited)),
		rest.JSON("POST", "/api/v1/auth/signin", auth.UseAccount, "Sign in. The token lasts 12 hours, or 30 days with remember. Where the account has a second factor and no code came: 401, SECOND_FACTOR_REQUIRED.", s.signIn,
			rest.FailsWith(fault.Forbidden, fault.RateLimited)),
		rest.JSON("POST", "/api/v1/auth/signout", auth.UseAccount, "End the session of the token.", s.signOut),
		rest.JSON("GET", "/api/v1/auth/session", auth.UseAccount, "Tell who the token belongs to.", s.currentSession),
		rest.JSON("POST", "/api/v1/auth/password", auth.ChangePassword, "Change one's password. The account's other sessions end.", s.changePassword,
			rest.FailsWith(fault.RateLimited)),
		rest.JSON("GET", "/api/v1/auth/sessions", auth.OwnSessions, "List one's own sessions, the newest first.", s.ownSessions),
		rest.JSON("POST", "/api/v1/auth/sessions/end", auth.OwnSessions, "End one of one's own sessions, or all but the one that asks.", s.endSessions,
			rest.FailsWith(fault.RateLimited)),
		rest.JSON("POST", "/api/v1/auth/upgrade", auth.RequestUpgrade, "Ask to become internal.", s.requestUpgrade, rest.FailsWith(fault.Conflict)),
	}
}

// tokenView is a new bearer session. The token is not shown again.
type tokenView struct {
	Token     string    `json:"token"`
	UserID    string    `json:"user_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

func viewToken(result auth.Result, err error) (tokenView, error) {
	if err != nil {
		return tokenView{}, err
	}
	if f := result.Fault(); f != nil {
		return tokenView{}, f
	}
	return tokenView{result.Token, result.UserID, result.ExpiresAt.UTC()}, nil
}

type signUpParams struct {
	Body struct {
		Email         string    `json:"email"`
		Password      string    `json:"password"`
		Name          string    `json:"name,omitempty"`
		RequestedRole auth.Role `json:"requested_role,omitempty" enum:"external,internal"`
	}
}

func (s *server) signUp(r *request, p *signUpParams) (tokenView, error) {
	in := p.Body
	switch in.RequestedRole {
	case "", auth.External, auth.Internal:
	default:
		return tokenView{}, fault.Field("requested_role", "must be external or internal")
	}
	ctx := r.Request.Context()
	return viewToken(s.Auth.SignUp(ctx, auth.SignUp{
		Email: in.Email, Password: in.Password, Name: in.Name, RequestedRole: in.RequestedRole,
		Address: auth.ClientAddress(ctx),
	}))
}

type signInParams struct {
	Body struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Remember bool   `json:"remember,omitempty"`
		Code     string `json:"code,omitempty"`
	}
}

func (s *server) signIn(r *request, p *signInParams) (tokenView, error) {
	ctx := r.Request.Context()
	return viewToken(s.Auth.SignIn(ctx, auth.SignIn{
		Email: p.Body.Email, Password: p.Body.Password, Remember: p.Body.Remember, Code: p.Body.Code, Address: auth.ClientAddress(ctx),
	}))
}

func (s *server) signOut(r *request, _ *none) (none, error) {
	ctx := r.Request.Context()
	return none{}, s.Auth.SignOut(ctx, credentials(r).Token, auth.ClientAddress(ctx))
}

// accountAnswer is the caller's bearer session and who they are.
type accountAnswer struct {
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	Persistent bool      `json:"persistent"`
	User       userView  `json:"user"`
	NeedFactor bool      `json:"second_factor_required" doc:"The account has no rights of an administrator until it has a second factor"`
	Notices    int       `json:"notices" doc:"Changes of one's credentials that were not dismissed"`
}

func (s *server) currentSession(r *request, _ *none) (accountAnswer, error) {
	ctx := r.Request.Context()
	session, err := s.Auth.VerifySession(ctx, credentials(r).Token)
	if err != nil {
		return accountAnswer{}, err
	}
	profile, err := s.Auth.CurrentProfile(ctx, r.Principal)
	if err != nil {
		return accountAnswer{}, err
	}
	if session == nil || profile == nil {
		return accountAnswer{}, fault.Coded(fault.Unauthenticated, "UNAUTHENTICATED", "Sign in to continue.")
	}
	notices, err := s.Auth.Notices(ctx, r.Principal)
	if err != nil {
		return accountAnswer{}, err
	}
	return accountAnswer{
		session.CreatedAt.UTC(), session.ExpiresAt.UTC(), session.Persistent, viewUser(*profile), r.Principal.NoFactor, len(notices),
	}, nil
}

type changePasswordParams struct {
	Body struct {
		Current string `json:"current_password"`
		New     string `json:"new_password"`
	}
}

func (s *server) changePassword(r *request, p *changePasswordParams) (none, error) {
	ctx := r.Request.Context()
	return done(s.Auth.ChangePassword(ctx, r.Principal, auth.PasswordChange{
		Current: p.Body.Current, New: p.Body.New, Address: auth.ClientAddress(ctx),
	}))
}

// done answers what a person may have got wrong as an error, and else nothing.
func done(result auth.Result, err error) (none, error) {
	if err != nil {
		return none{}, err
	}
	if f := result.Fault(); f != nil {
		return none{}, f
	}
	return none{}, nil
}

func (s *server) requestUpgrade(r *request, _ *none) (none, error) {
	return none{}, s.Auth.RequestUpgrade(r.Request.Context(), r.Principal)
}

// bearerView is a bearer session as REST shows it.
type bearerView struct {
	ID         string    `json:"session_id"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	Persistent bool      `json:"persistent"`
	Current    bool      `json:"current" doc:"It is the one that asks"`
}

type bearersAnswer struct {
	Sessions []bearerView `json:"sessions"`
}

func (s *server) ownSessions(r *request, _ *none) (bearersAnswer, error) {
	return s.sessionsOf(r, r.Principal.UserID)
}

func (s *server) sessionsOf(r *request, user string) (bearersAnswer, error) {
	list, err := s.Auth.Sessions(r.Request.Context(), r.Principal, user)
	if err != nil {
		return bearersAnswer{}, err
	}
	views := []bearerView{}
	for _, one := range list {
		views = append(views, bearerView{one.ID, one.CreatedAt.UTC(), one.ExpiresAt.UTC(), one.Persistent, one.ID == r.Principal.SessionID})
	}
	return bearersAnswer{views}, nil
}

type endSessionsParams struct {
	Body struct {
		Password  string `json:"current_password"`
		SessionID string `json:"session_id,omitempty" doc:"Only this one"`
	}
}

func (s *server) endSessions(r *request, p *endSessionsParams) (none, error) {
	if p.Body.Password == "" {
		return none{}, fault.Field("current_password", "is missing")
	}
	ctx := r.Request.Context()
	return done(s.Auth.EndSessions(ctx, r.Principal, auth.SessionEnd{
		Password: p.Body.Password, Session: p.Body.SessionID, Address: auth.ClientAddress(ctx),
	}))
}
