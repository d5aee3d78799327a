package main

import (
	"context"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/ecovolt/telemetryd/auth"
)

// keyCmd manages deploy keys: what machines show instead of signing in.
type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make a deploy key and print it. It is not shown again."`
	List   keyListCmd   `cmd:"" help:"List all deploy keys."`
	Rotate keyRotateCmd `cmd:"" help:"Make a key's successor and print it; the old key stays valid for a while."`
	Revoke keyRevokeCmd `cmd:"" help:"End a key now."`
}

type keyCreateCmd struct {
	accountFlags
	Name  string        `arg:"" help:"What will hold the key, such as bridge."`
	Scope auth.Scope    `default:"ingest" enum:"ingest,admin" help:"ingest: store records and report; admin: everything."`
	Valid time.Duration `placeholder:"DURATION" help:"How long it is valid, such as 90d. Default: until revoked."`

	NoChannels bool `help:"Store members of records that nobody knows, and make no channels of them."`
}

func (c keyCreateCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c keyCreateCmd) run(ctx context.Context, s *auth.Service, t terminal) error {
	secret, _, err := s.CreateKey(ctx, operator, auth.NewKey{Name: c.Name, Scope: c.Scope, Valid: c.Valid, NoChannels: c.NoChannels})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.out, secret)
	return err
}

type keyListCmd struct{ accountFlags }

func (c keyListCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c keyListCmd) run(ctx context.Context, s *auth.Service, t terminal) error {
	keys, err := s.ListKeys(ctx, operator)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tSCOPE\tCHANNELS\tSTARTS WITH\tCREATED\tLAST USED\tEXPIRES\tREVOKED")
	for _, k := range keys {
		channels := "makes"
		if k.NoChannels {
			channels = "none"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Scope, channels, k.Prefix,
			minute(&k.CreatedAt), minute(k.LastUsedAt), minute(k.ExpiresAt), minute(k.RevokedAt))
	}
	return w.Flush()
}

func minute(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04Z")
}

// keyArg names a deploy key.
type keyArg struct {
	ID string `arg:"" help:"Id of the key, from 'telemetryd key list'."`
}

type keyRotateCmd struct {
	accountFlags
	keyArg
	Overlap time.Duration `default:"24h" help:"How long the old key stays valid."`
}

func (c keyRotateCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c keyRotateCmd) run(ctx context.Context, s *auth.Service, t terminal) error {
	secret, _, err := s.RotateKey(ctx, operator, c.ID, c.Overlap)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.out, secret)
	return err
}

type keyRevokeCmd struct {
	accountFlags
	keyArg
}

func (c keyRevokeCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, c.run)
}

func (c keyRevokeCmd) run(ctx context.Context, s *auth.Service, t terminal) error {
	if err := s.RevokeKey(ctx, operator, c.ID); err != nil {
		return err
	}
	_, err := fmt.Fprintf(t.out, "Key %s is revoked.\n", c.ID)
	return err
}
