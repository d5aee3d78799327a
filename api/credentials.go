package api

import (
	"encoding/base64"
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/factor"
	"github.com/ecovolt/telemetryd/internal/fault"
)

func (s *server) credentialRoutes() []route {
	limited := rest.FailsWith(fault.RateLimited)
	return []route{
		rest.JSON("GET", "/api/v1/auth/second-factor", auth.OwnCredentials, "Tell whether one has a second factor.", s.getFactor),
		rest.JSON("POST", "/api/v1/auth/second-factor", auth.OwnCredentials,
			"Begin a second factor: a secret for an authenticator (TOTP), which must be confirmed within 15 minutes.", s.beginFactor,
			rest.Created("What an authenticator needs, shown this once"), limited, rest.FailsWith(fault.Conflict)),
		rest.JSON("POST", "/api/v1/auth/second-factor/confirm", auth.OwnCredentials,
			"Put the second factor into force by a code of it. The account's other sessions end.", s.confirmFactor, limited, rest.FailsWith(fault.Conflict)),
		rest.JSON("POST", "/api/v1/auth/second-factor/recovery-codes", auth.OwnCredentials, "Make new recovery codes. Those before are void.", s.renewRecoveryCodes,
			limited, rest.FailsWith(fault.Conflict)),
		rest.JSON("POST", "/api/v1/auth/second-factor/off", auth.OwnCredentials, "Remove the second factor, with the app passwords and their sessions.", s.turnOffFactor, limited),
		rest.JSON("GET", "/api/v1/auth/app-passwords", auth.OwnCredentials, "List one's own app passwords, without the passwords themselves.", s.listAppPasswords),
		rest.JSON("POST", "/api/v1/auth/app-passwords", auth.OwnCredentials,
			"Make an app password, with which clients of the function contract sign in to an account that has a second factor. 20 at most.", s.makeAppPassword,
			rest.Created("The app password, shown this once"), limited, rest.FailsWith(fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/auth/app-passwords/:id", auth.OwnCredentials, "Revoke one of one's own app passwords, and end its sessions.", s.revokeAppPassword),
		rest.JSON("GET", "/api/v1/auth/notices", auth.OwnCredentials, "List what happened to one's credentials and was not dismissed, the newest first.", s.listNotices),
		rest.JSON("POST", "/api/v1/auth/notices/dismiss", auth.OwnCredentials, "Dismiss notices up to one of them.", s.dismissNotices),
	}
}

type factorAnswer struct {
	Enabled       bool       `json:"enabled" doc:"One is in force"`
	Required      bool       `json:"required" doc:"The account has no rights of an administrator until one is in force"`
	Since         *time.Time `json:"since" doc:"When it was confirmed"`
	RecoveryCodes int        `json:"recovery_codes_left" doc:"Recovery codes that were not used"`
}

func (s *server) getFactor(r *request, _ *none) (factorAnswer, error) {
	status, err := s.Auth.Factor(r.Request.Context(), r.Principal)
	if err != nil || status == nil {
		return factorAnswer{Required: r.Principal.NoFactor}, err
	}
	return factorAnswer{Enabled: true, Since: rest.InUTC(&status.Since), RecoveryCodes: status.RecoveryCodes}, nil
}

type passwordParams struct {
	Body struct {
		Password string `json:"current_password"`
	}
}

// enrolmentView is what an authenticator is set up with.
type enrolmentView struct {
	Secret string `json:"secret" doc:"base32, for typing it in"`
	URL    string `json:"url" doc:"otpauth:// address with the secret"`
	QR     string `json:"qr" doc:"The address as a QR code: a PNG as a data: address"`
}

func (s *server) beginFactor(r *request, p *passwordParams) (enrolmentView, error) {
	made, err := s.Auth.BeginFactor(r.Request.Context(), r.Principal, auth.Proof{Password: p.Body.Password})
	if err != nil {
		return enrolmentView{}, err
	}
	return enrolmentView{made.Secret, made.URL, "data:image/png;base64," + base64.StdEncoding.EncodeToString(made.QR)}, nil
}

type confirmFactorParams struct {
	Body struct {
		Code string `json:"code"`
	}
}

type recoveryAnswer struct {
	Codes []string `json:"recovery_codes" doc:"Each stands in for a code once; shown this once"`
}

func (s *server) confirmFactor(r *request, p *confirmFactorParams) (recoveryAnswer, error) {
	codes, err := s.Auth.ConfirmFactor(r.Request.Context(), r.Principal, p.Body.Code)
	return recoveryAnswer{codes}, err
}

type proofParams struct {
	Body struct {
		Password string `json:"current_password"`
		Code     string `json:"code,omitempty"`
	}
}

func (s *server) renewRecoveryCodes(r *request, p *proofParams) (recoveryAnswer, error) {
	codes, err := s.Auth.RenewRecoveryCodes(r.Request.Context(), r.Principal, auth.Proof{Password: p.Body.Password, Code: p.Body.Code})
	return recoveryAnswer{codes}, err
}

func (s *server) turnOffFactor(r *request, p *proofParams) (none, error) {
	return none{}, s.Auth.TurnOffFactor(r.Request.Context(), r.Principal, auth.Proof{Password: p.Body.Password, Code: p.Body.Code})
}

// appPasswordView is an app password as REST shows it. Secret is there once, when it
// was just made.
type appPasswordView struct {
	Secret     string     `json:"app_password,omitempty"`
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"When somebody last signed in with it; null is never"`
}

func viewAppPassword(a factor.AppPassword, secret string) appPasswordView {
	return appPasswordView{secret, a.ID, a.Name, a.CreatedAt.UTC(), rest.InUTC(a.LastUsedAt)}
}

type appPasswordsAnswer struct {
	AppPasswords []appPasswordView `json:"app_passwords"`
}

func (s *server) listAppPasswords(r *request, _ *none) (appPasswordsAnswer, error) {
	apps, err := s.Auth.AppPasswords(r.Request.Context(), r.Principal)
	views := make([]appPasswordView, len(apps))
	for i, a := range apps {
		views[i] = viewAppPassword(a, "")
	}
	return appPasswordsAnswer{views}, err
}

type makeAppPasswordParams struct {
	Body struct {
		Name     string `json:"name" doc:"1 to 80 characters: what it is for"`
		Password string `json:"current_password"`
		Code     string `json:"code"`
	}
}

func (s *server) makeAppPassword(r *request, p *makeAppPasswordParams) (appPasswordView, error) {
	made, app, err := s.Auth.MakeAppPassword(r.Request.Context(), r.Principal, p.Body.Name, auth.Proof{Password: p.Body.Password, Code: p.Body.Code})
	return viewAppPassword(app, made), err
}

func (s *server) revokeAppPassword(r *request, _ *none) (none, error) {
	return none{}, s.Auth.RevokeAppPassword(r.Request.Context(), r.Principal, r.Param("id"))
}

// noticeView is a change of one's credentials.
type noticeView struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Event   string    `json:"event" doc:"As in the audit log" example:"password_changed"`
	Address *string   `json:"client_address"`
	ByOther bool      `json:"by_administrator" doc:"An administrator did it, or somebody at the command line"`
}

type noticesAnswer struct {
	Notices []noticeView `json:"notices"`
}

func (s *server) listNotices(r *request, _ *none) (noticesAnswer, error) {
	notices, err := s.Auth.Notices(r.Request.Context(), r.Principal)
	views := make([]noticeView, len(notices))
	for i, n := range notices {
		views[i] = noticeView{n.ID, n.At.UTC(), n.Event, rest.NullIfZero(n.Address), n.ByOther}
	}
	return noticesAnswer{views}, err
}

type dismissNoticesParams struct {
	Body struct {
		Through int64 `json:"through" doc:"Id of the newest notice to dismiss"`
	}
}

func (s *server) dismissNotices(r *request, p *dismissNoticesParams) (none, error) {
	return none{}, s.Auth.DismissNotices(r.Request.Context(), r.Principal, p.Body.Through)
}
