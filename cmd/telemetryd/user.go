package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/database"
)

// userCmd manages accounts from the machine that can reach the database. It
// needs no account itself: that is how the first administrator is made.
type userCmd struct {
	CreateAdmin   userCreateAdminCmd   `cmd:"" help:"Make an administrator. Asks for the password, or reads it from standard input."`
	List          userListCmd          `cmd:"" help:"List all accounts."`
	SetRole       userSetRoleCmd       `cmd:"" help:"Give an account a role and approve it."`
	ResetPassword userResetPasswordCmd `cmd:"" help:"Set a new password and end the account's sessions. Asks for it, or reads it from standard input."`
	ResetFactor   userResetFactorCmd   `cmd:"" name:"reset-second-factor" help:"Remove an account's second factor and end its sessions, for who has lost it."`
	Ban           userBanCmd           `cmd:"" help:"Lock an account out and end its sessions."`
	Unban         userUnbanCmd         `cmd:"" help:"Let a banned account in again, as external."`
	Delete        userDeleteCmd        `cmd:"" help:"Remove an account with everything that is its own."`
}

// accountFlags open the accounts.
type accountFlags struct {
	database.Flags
	Pepper string `placeholder:"SECRET" env:"TELEMETRYD_PEPPER,AUTH_PASSWORD_PEPPER" help:"Secret that password hashes depend on, the daemon's. Use the variable, not the flag."`
}

// terminal is where a command asks and answers.
type terminal struct {
	in     io.Reader
	out    io.Writer
	prompt func(question string) (string, error) // nil when nobody is there to ask
}

func thisTerminal() terminal {
	t := terminal{in: os.Stdin, out: os.Stdout}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		t.prompt = func(question string) (string, error) {
			fmt.Fprint(os.Stderr, question)
			answer, err := term.ReadPassword(int(os.Stdin.Fd()))
			fmt.Fprintln(os.Stderr)
			return string(answer), err
		}
	}
	return t
}

// password asks twice, or takes the first line of standard input. It never
// comes from the command line, which others can see.
func (t terminal) password() (string, error) {
	if t.prompt == nil {
		line, err := bufio.NewReader(t.in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
	}
	first, err := t.prompt("Password: ")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	again, err := t.prompt("The same again: ")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if first != again {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// operator is who the audit log says did it.
var operator = auth.Operator("command line")

// with runs work on the accounts of the database that the flags name.
func (f accountFlags) with(ctx context.Context, log *slog.Logger, work func(context.Context, *auth.Service, terminal) error) error {
	pool, done, err := f.Open(ctx, log)
	if err != nil {
		return err
	}
	defer done()
	return work(ctx, auth.New(pool, auth.Options{Pepper: f.Pepper, Log: log}), thisTerminal())
}

type userCreateAdminCmd struct {
	accountFlags
	Email string `arg:"" help:"E-mail address to sign in with."`
	Name  string `placeholder:"NAME" help:"Name to show."`
}

func (c userCreateAdminCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c userCreateAdminCmd) run(ctx context.Context, s *auth.Service, t terminal) error {
	password, err := t.password()
	if err != nil {
		return err
	}
	id, err := s.CreateAccount(ctx, operator, auth.NewAccount{Email: c.Email, Password: password, Name: c.Name, Role: auth.Admin})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "Made administrator %s.\n", id)
	return err
}

type userListCmd struct{ accountFlags }

func (c userListCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c userListCmd) run(ctx context.Context, s *auth.Service, t terminal) error {
	users, err := s.Users(ctx, operator)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tE-MAIL\tNAME\tROLE\tASKS FOR\tAPPROVAL\tSINCE")
	for _, u := range users {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", u.UserID, u.Email, dash(u.Name), u.Role, dash(string(u.RequestedRole)),
			u.Approval, u.CreatedAt.Format("2006-01-02"))
	}
	return w.Flush()
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// userArg names an account.
type userArg struct {
	User string `arg:"" help:"Account id or e-mail address."`
}

// change finds the account, does something to it and says so.
func (a userArg) change(ctx context.Context, s *auth.Service, t terminal, done string, do func(id string) error) error {
	u, err := s.FindUser(ctx, operator, a.User)
	if err != nil {
		return err
	}
	if err := do(u.UserID); err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%s %s.\n", u.Email, done)
	return err
}

type userSetRoleCmd struct {
	accountFlags
	userArg
	Role auth.Role `arg:"" enum:"guest,external,internal,admin" help:"guest, external, internal or admin."`
}

func (c userSetRoleCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c userSetRoleCmd) run(ctx context.Context, s *auth.Service, t terminal) error {
	return c.change(ctx, s, t, "is "+string(c.Role)+" now", func(id string) error { return s.SetRole(ctx, operator, id, c.Role) })
}

type userResetPasswordCmd struct {
	accountFlags
	userArg
}

func (c userResetPasswordCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c userResetPasswordCmd) run(ctx context.Context, s *auth.Service, t terminal) error {
	return c.change(ctx, s, t, "has a new password and must sign in again", func(id string) error {
		password, err := t.password()
		if err != nil {
			return err
		}
		return s.ResetPassword(ctx, operator, id, password)
	})
}

// userDo is a command that does one thing to an account, which T says.
type userDo[T interface {
	to(*auth.Service) (do userChange, done string)
}] struct {
	accountFlags
	userArg
}

func (c userDo[T]) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c userDo[T]) run(ctx context.Context, s *auth.Service, t terminal) error {
	var thing T
	do, done := thing.to(s)
	return c.change(ctx, s, t, done, func(id string) error { return do(ctx, operator, id) })
}

type (
	ban         struct{}
	unban       struct{}
	resetFactor struct{}
	deletion    struct{}

	userBanCmd         = userDo[ban]
	userUnbanCmd       = userDo[unban]
	userResetFactorCmd = userDo[resetFactor]
	userDeleteCmd      = userDo[deletion]

	userChange = func(ctx context.Context, by auth.Principal, id string) error
)

func (ban) to(s *auth.Service) (userChange, string)      { return s.Ban, "is locked out" }
func (unban) to(s *auth.Service) (userChange, string)    { return s.Unban, "may sign in" }
func (deletion) to(s *auth.Service) (userChange, string) { return s.Delete, "is removed" }
func (resetFactor) to(s *auth.Service) (userChange, string) {
	return s.ResetFactor, "has no second factor now and must sign in again"
}
