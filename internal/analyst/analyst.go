package analyst

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Role is who analysts sign in as, or what they are members of.
const Role = "telemetry_analyst"

// forbidden are the functions that take locks by number, those that write large
// objects, and the one that writes any amount into the server's log, in transactions
// that are for reading, too. There are further ones, with other arguments, in later
// versions.
const forbidden = `
	SELECT p.oid
	FROM pg_proc p
	WHERE p.pronamespace = 'pg_catalog'::regnamespace
	  AND (p.proname ~ '^pg_(try_)?advisory_(xact_)?lock'
	       OR p.proname = 'pg_logical_emit_message'
	       OR p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_open', 'lo_put', 'lowrite'))
	  AND has_function_privilege('` + Role + `', p.oid, 'EXECUTE')`

// Restrict takes from analysts what only the daemon needs, as far as the
// connection's user may. Who owns the database keeps it.
func Restrict(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		DO $$
		DECLARE
			owner name := (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database());
			one   oid;
		BEGIN
			IF to_regrole('`+Role+`') IS NULL THEN
				RETURN;
			END IF;
			BEGIN
				FOR one IN `+forbidden+` LOOP
					EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', one::regprocedure, owner);
					EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one::regprocedure);
				END LOOP;
			EXCEPTION WHEN insufficient_privilege OR internal_error THEN NULL; -- another instance was quicker
			END;
			BEGIN
				IF has_database_privilege('`+Role+`', current_database(), 'TEMPORARY') THEN
					EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), current_user);
					EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
				END IF;
			EXCEPTION WHEN insufficient_privilege OR internal_error THEN NULL;
			END;
			BEGIN
				IF NOT EXISTS (
					SELECT FROM pg_db_role_setting
					WHERE setrole = to_regrole('`+Role+`') AND setconfig::text LIKE '%temp_file_limit%') THEN
					ALTER ROLE `+Role+` SET temp_file_limit = '2GB';
				END IF;
			EXCEPTION WHEN insufficient_privilege OR internal_error THEN NULL;
			END;
		END
		$$`)
	if err != nil {
		return fmt.Errorf("restrict what analysts may use: %w", err)
	}
	return nil
}

// Lack is something that analysts may do although they should not.
type Lack struct {
	What   string
	Advice string // what a superuser does about it
}

// Lacks returns what Restrict could not forbid on this server, and whether a
// Guard can do its work.
func Lacks(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) (lacks []Lack, err error) {
	var there bool
	if err := db.QueryRow(ctx, "SELECT to_regrole($1) IS NOT NULL", Role).Scan(&there); err != nil || !there {
		return nil, err
	}
	var super, functions, temporary, unlimited, unguarded bool
	err = db.QueryRow(ctx, `
		SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = $1),
		       EXISTS (`+forbidden+`),
		       has_database_privilege($1, current_database(), 'TEMPORARY'),
		       NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = to_regrole($1) AND setconfig::text LIKE '%temp_file_limit%'),
		       NOT (me.rolsuper OR pg_has_role(me.oid, 'pg_signal_backend', 'USAGE') OR pg_has_role(me.oid, $1, 'USAGE'))
		FROM pg_roles me
		WHERE me.rolname = current_user`, Role).Scan(&super, &functions, &temporary, &unlimited, &unguarded)
	if err != nil {
		return nil, fmt.Errorf("ask what analysts may use: %w", err)
	}
	for _, one := range []struct {
		lacks bool
		Lack
	}{
		{super, Lack{"are superusers", "ALTER ROLE " + Role + " NOSUPERUSER"}},
		{functions, Lack{"can take the locks of uploads and migrations, and write large objects and messages into the write-ahead log",
			"REVOKE EXECUTE on the functions pg_advisory_lock, lo_create, pg_logical_emit_message and their like FROM PUBLIC and GRANT it to the daemon's user"}},
		{temporary, Lack{"can make temporary tables", "REVOKE TEMPORARY ON DATABASE FROM PUBLIC and GRANT it to the daemon's user"}},
		{unlimited, Lack{"can fill the disk with temporary files", "ALTER ROLE " + Role + " SET temp_file_limit = '2GB'"}},
		{unguarded, Lack{"can lift their own timeouts", "GRANT pg_signal_backend TO the daemon's user, which then ends what takes too long"}},
	} {
		if one.lacks {
			lacks = append(lacks, one.Lack)
		}
	}
	return lacks, nil
}
