package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/secure/precis"
)

// roleAttempts is how often to try what another process is doing too.
const roleAttempts = 10

// ensureRole makes or completes the login role that the programs use. Roles
// belong to the server: migrations of other databases may be at the same one
// at the same time, and PostgreSQL has them collide rather than wait.
func ensureRole(ctx context.Context, db *sql.DB, name, password string, log *slog.Logger) (err error) {
	for range roleAttempts {
		if err = tryEnsureRole(ctx, db, name, password, log); err == nil {
			return nil
		}
		const duplicateObject, uniqueViolation, tupleConcurrentlyUpdated = "42710", "23505", "XX000"
		switch sqlState(err) {
		case duplicateObject, uniqueViolation, tupleConcurrentlyUpdated:
			continue
		case "42501": // insufficient privilege
			return fmt.Errorf("the owner may not make or grant roles: let a superuser run "+
				"CREATE ROLE %[1]s LOGIN; GRANT %[2]s TO %[1]s and set its password: %[3]w", quote(name), groupRole, err)
		}
		break
	}
	return fmt.Errorf("make role %q: %w", name, err)
}

func tryEnsureRole(ctx context.Context, db *sql.DB, name, password string, log *slog.Logger) error {
	exists, err := checkRole(ctx, db, name)
	if err != nil {
		return err
	}
	if !exists {
		if _, err := db.ExecContext(ctx, "CREATE ROLE "+quote(name)+" LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"); err != nil {
			return err
		}
		log.InfoContext(ctx, "database role made", "role", name)
	}
	if password != "" { // otherwise the server knows it in some other way
		verifier, err := scramVerifier(password)
		if err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, "ALTER ROLE "+quote(name)+" LOGIN PASSWORD '"+verifier+"'"); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, "GRANT "+groupRole+" TO "+quote(name))
	return err
}

// checkRole reports whether the role exists, and refuses one that row-level
// security would not bind. Taking such rights away is not for us: the role has
// them for something else.
func checkRole(ctx context.Context, db *sql.DB, name string) (exists bool, err error) {
	var free, owns bool
	if err := db.QueryRowContext(ctx, `
		SELECT count(*) > 0,
		       coalesce(bool_or(r.rolsuper OR r.rolbypassrls), false),
		       coalesce(bool_or(EXISTS (SELECT FROM pg_class c
		                                WHERE c.oid = 'public.documents'::regclass AND pg_has_role(r.oid, c.relowner, 'MEMBER'))), false)
		FROM pg_roles r
		WHERE r.rolname = $1`, name).Scan(&exists, &free, &owns); err != nil {
		return false, err
	}
	if free || owns {
		return exists, fmt.Errorf("the role is a superuser, bypasses row-level security or owns the tables: " +
			"give GRISTMILL_DATABASE_URL another user name; the role is made by this command")
	}
	return exists, nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// scramVerifier returns what PostgreSQL keeps of a password (RFC 5803), so
// that the password itself is in no statement and in no server's log.
func scramVerifier(password string) (string, error) {
	const iterations = 4096 // PostgreSQL's own
	if prepared, err := precis.OpaqueString.String(password); err == nil {
		password = prepared // as clients do; one that cannot be prepared is used as it is
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	sign := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(sign("Server Key"))), nil
}
