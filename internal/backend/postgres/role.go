package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/secure/precis"
)

// roleAttempts is how often to try what another process is doing too.
const roleAttempts = 10

// loginRole is a role that the programs log in as.
type loginRole struct {
	rolePurpose
	name, password string
}

// parseLoginRoles returns the programs' roles. Each has one purpose, and none is the
// owner, whom row-level security does not bind.
func parseLoginRoles(cfg MigrateConfig, owner string) (logins []loginRole, err error) {
	settings := map[string]string{owner: "GRISTMILL_MIGRATE_DATABASE_URL"}
	add := func(url string, p rolePurpose) error {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			return fmt.Errorf("%s: %w", p.setting, errBadURL)
		}
		if other, taken := settings[config.User]; taken {
			return fmt.Errorf("%s and %s both name the role %q, and each needs its own: "+
				"give %[2]s another user name; the role is made by this command", other, p.setting, config.User)
		}
		settings[config.User] = p.setting
		logins = append(logins, loginRole{p, config.User, config.Password})
		return nil
	}
	if err := add(cfg.AppURL, applicationPurpose); err != nil {
		return nil, err
	}
	if cfg.IndexURL != "" {
		err = add(cfg.IndexURL, indexPurpose)
	}
	return logins, err
}

// ensureRole makes or completes a login role. Roles belong to the server:
// migrations of other databases may be at the same one at the same time, and
// PostgreSQL has them collide rather than wait.
func ensureRole(ctx context.Context, conn *pgx.Conn, l loginRole, log *slog.Logger) (err error) {
	for range roleAttempts {
		if err = tryEnsureRole(ctx, conn, l, log); err == nil {
			return nil
		}
		const duplicateObject, uniqueViolation, tupleConcurrentlyUpdated = "42710", "23505", "XX000"
		switch sqlState(err) {
		case duplicateObject, uniqueViolation, tupleConcurrentlyUpdated:
			continue
		case "42501": // insufficient privilege
			return fmt.Errorf("the owner may not make or grant roles: let a superuser run "+
				"CREATE ROLE %[1]s LOGIN; GRANT %[2]s TO %[1]s and set its password: %[3]w", quoteIdentifier(l.name), l.group, err)
		}
		break
	}
	return fmt.Errorf("make role %q: %w", l.name, err)
}

// tryEnsureRole refuses a role that may do too much, before it changes it and
// after. Taking rights away is not for us: the role has them for something else.
func tryEnsureRole(ctx context.Context, conn *pgx.Conn, l loginRole, log *slog.Logger) error {
	before, err := readPrivileges(ctx, conn, l.name, l.rolePurpose)
	if err != nil {
		return err
	}
	if before.excess != nil {
		return before.excess
	}
	role := quoteIdentifier(l.name)
	if before.role == "" {
		if _, err := conn.Exec(ctx, "CREATE ROLE "+role+" LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"); err != nil {
			return err
		}
		log.InfoContext(ctx, "database role made", "role", l.name)
	}
	if l.password != "" { // otherwise the server knows it in some other way
		verifier, err := scramVerifier(l.password)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "ALTER ROLE "+role+" LOGIN PASSWORD '"+verifier+"'"); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, "GRANT "+l.group+" TO "+role); err != nil {
		return err
	}
	after, err := readPrivileges(ctx, conn, l.name, l.rolePurpose)
	if err != nil {
		return err
	}
	return after.excess
}

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
