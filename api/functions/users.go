package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	schema "github.com/ecovolt/telemetryd/sql"
)

func users(d Deps) []registry.Function {
	text := registry.String()
	target := registry.Field("targetUserId", text)
	// manage is a mutation that an administrator makes to another account.
	manage := func(name string, run func(context.Context, auth.Principal, string, registry.Args) error, more ...registry.ObjectField) registry.Function {
		return registry.Function{
			Name: name, Kind: registry.Mutation, Access: auth.ManageUsers,
			Args: registry.Object(append([]registry.ObjectField{tokenArg(), target}, more...)...),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				return success(run(ctx, c.Principal, c.Args.String("targetUserId"), c.Args))
			},
		}
	}
	list := func(name string, read func(context.Context, auth.Principal) ([]auth.Profile, error)) registry.Function {
		return registry.Function{
			Name: name, Kind: registry.Query, Access: auth.ManageUsers,
			Args: registry.Object(tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				watchCaller(c)
				c.Watch(schema.TopicUsers)
				profiles, err := read(ctx, c.Principal)
				if err != nil {
					return nil, err
				}
				out := make([]any, len(profiles))
				for i, p := range profiles {
					out[i] = profileDoc(p)
				}
				return out, nil
			},
		}
	}
	return []registry.Function{
		{
			Name: "users:getCurrentProfile", Kind: registry.Query, Access: auth.UseAccount,
			Args: registry.Object(tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				watchCaller(c)
				profile, err := d.Auth.CurrentProfile(ctx, c.Principal)
				if err != nil || profile == nil {
					return nil, err
				}
				return profileDoc(*profile), nil
			},
		},
		list("users:getAllUsers", d.Auth.Users),
		list("users:getPendingUsers", d.Auth.PendingUsers),
		manage("users:updateUserRole", func(ctx context.Context, by auth.Principal, target string, args registry.Args) error {
			return d.Auth.SetRole(ctx, by, target, auth.Role(args.String("role")))
		}, registry.Field("role", roleLiterals())),
		manage("users:rejectUser", func(ctx context.Context, by auth.Principal, target string, _ registry.Args) error {
			return d.Auth.Reject(ctx, by, target)
		}),
		manage("users:banUser", func(ctx context.Context, by auth.Principal, target string, _ registry.Args) error {
			return d.Auth.Ban(ctx, by, target)
		}),
		manage("users:deleteUser", func(ctx context.Context, by auth.Principal, target string, _ registry.Args) error {
			return d.Auth.Delete(ctx, by, target)
		}),
		{
			Name: "users:requestRoleUpgrade", Kind: registry.Mutation, Access: auth.RequestUpgrade,
			Args: registry.Object(tokenArg(), registry.Field("requestedRole", registry.Literals(string(auth.Internal)))),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				return success(d.Auth.RequestUpgrade(ctx, c.Principal))
			},
		},
	}
}

func roleLiterals() registry.Validator {
	var names []string
	for _, role := range auth.Roles() {
		names = append(names, string(role))
	}
	return registry.Literals(names...)
}

// profileDoc is an account as clients know it. Its _id is the account id too.
func profileDoc(p auth.Profile) map[string]any {
	doc := map[string]any{
		"_id": p.UserID, "_creationTime": millis(p.CreatedAt), "userId": p.UserID,
		"email": p.Email, "role": string(p.Role), "approval_status": string(p.Approval),
	}
	if p.Name != "" {
		doc["name"] = p.Name
	}
	if p.RequestedRole != "" {
		doc["requested_role"] = string(p.RequestedRole)
	}
	return doc
}
