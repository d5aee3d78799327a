package convexmove

import (
	"context"
	"fmt"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/check"
	"github.com/ecovolt/telemetryd/internal/convexdump"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// operator is whom the audit log names for the moved accounts.
var operator = auth.Operator("import-convex")

// accounts moves accounts with their profiles. An account without a profile is
// an approved external one, as the former backend has it.
func (m *mover) accounts(ctx context.Context) error {
	accounts, err := convexdump.All[accountDocument](m.dump, tableAccounts)
	if err != nil {
		return err
	}
	profiles, err := convexdump.All[profileDocument](m.dump, tableProfiles)
	if err != nil {
		return err
	}
	profileOf := map[string]profileDocument{}
	for _, p := range profiles {
		profileOf[p.UserID] = p
	}
	for _, a := range accounts {
		m.report.Accounts.Found++
		profile, ok := profileOf[a.ID]
		if !ok {
			profile = profileDocument{Role: string(auth.External), ApprovalStatus: string(auth.Approved)}
		}
		if err := m.account(ctx, importedAccount(a, profile)); err != nil {
			return err
		}
	}
	return nil
}

func importedAccount(a accountDocument, p profileDocument) auth.ImportedAccount {
	in := auth.ImportedAccount{
		ID: a.ID, Email: a.Email, Name: p.Name, Role: auth.Role(p.Role), Approval: auth.Approval(p.ApprovalStatus),
		PasswordHash: a.PasswordHash, CreatedAt: a.created(),
	}
	if a.NormalizedEmail != "" {
		in.Email = a.NormalizedEmail
	}
	if in.Name == "" {
		in.Name = a.Name
	}
	if _, ok := check.Name(in.Name); !ok {
		in.Name = "" // older sign-ups took any name; the account matters more
	}
	if r := auth.Role(p.RequestedRole); r == auth.External || r == auth.Internal {
		in.RequestedRole = r
	}
	return in
}

func (m *mover) account(ctx context.Context, in auth.ImportedAccount) error {
	if m.DryRun {
		if err := in.Check(); err != nil {
			m.report.Accounts.Failed++
			m.report.problem("account %s: %v", in.ID, err)
			return nil
		}
		m.owners[in.ID] = in.ID
		return nil
	}
	outcome, err := m.Auth.ImportAccount(ctx, operator, in, false)
	switch {
	case fault.Is(err, fault.Conflict):
		// Such as the administrator who was made to run the move.
		existing, err := m.Auth.FindUser(ctx, operator, in.Email)
		if err != nil {
			return fmt.Errorf("find the account with the address of %s: %w", in.ID, err)
		}
		m.owners[in.ID] = existing.UserID
		m.report.Accounts.Present++
	case fault.As(err) != nil:
		m.report.Accounts.Failed++
		m.report.problem("account %s: %v", in.ID, err)
	case err != nil:
		return fmt.Errorf("account %s: %w", in.ID, err)
	default:
		m.owners[in.ID] = in.ID
		if outcome == auth.Imported {
			m.report.Accounts.Added++
		} else {
			m.report.Accounts.Present++
		}
	}
	return nil
}
