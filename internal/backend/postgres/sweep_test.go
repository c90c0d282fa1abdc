package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// Each list of a tenant is asked for by itself, by its own time, and tenants of
// which nothing is due are left out.
func TestTenantsDue(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	entries := func(ages garbage.MinAges) func(*postgres.Store, context.Context) ([]string, error) {
		return func(s *postgres.Store, ctx context.Context) ([]string, error) { return s.TenantsWithGarbage(ctx, ages) }
	}
	days := garbage.MinAges{Uploads: day, Sections: day, IdempotencyKeys: day, Deliveries: day}
	ahead := days
	ahead.EntriesAhead = day
	deliver := `INSERT INTO webhooks (tenant, id, url, secret) VALUES ('other', gen_random_uuid(), '', '');
		INSERT INTO deliveries (tenant, id, webhook, event, job, document, body, state, next_attempt_at, ended_at)
		SELECT tenant, gen_random_uuid(), id, '', gen_random_uuid(), gen_random_uuid(), '', %s FROM webhooks`
	verify := func(s *postgres.Store, ctx context.Context) ([]string, error) { return s.TenantsToVerify(ctx, day) }
	verified := `INSERT INTO verifications (tenant, last_document, documents, bytes, findings, started_at)
		SELECT id, '00000000-0000-0000-0000-%s', 0, 0, 0, now() - '1 hour'::interval FROM tenants WHERE id = '%s'`
	for name, test := range map[string]struct {
		rows string
		list func(*postgres.Store, context.Context) ([]string, error)
		due  bool
	}{
		"garbage":            {`INSERT INTO garbage (tenant, kind, object) VALUES ('other', 'object', 'o')`, entries(days), true},
		"garbage later":      {`INSERT INTO garbage (tenant, kind, object, due_at) VALUES ('other', 'object', 'o', now() + '1 hour'::interval)`, entries(days), false},
		"garbage ahead":      {`INSERT INTO garbage (tenant, kind, object, due_at) VALUES ('other', 'object', 'o', now() + '1 hour'::interval)`, entries(ahead), true},
		"old upload":         {`INSERT INTO uploads (tenant, object, created_at) VALUES ('other', 'o', now() - '25 hours'::interval)`, entries(days), true},
		"young upload":       {`INSERT INTO uploads (tenant, object) VALUES ('other', 'o')`, entries(days), false},
		"old section":        {`INSERT INTO released_sections (tenant, node, released_at) VALUES ('other', sha256(''), now() - '25 hours'::interval)`, entries(days), true},
		"young section":      {`INSERT INTO released_sections (tenant, node) VALUES ('other', sha256(''))`, entries(days), false},
		"old key":            {`INSERT INTO idempotency_keys (tenant, key, fingerprint, answer, created_at) VALUES ('other', 'k', '', '{}', now() - '25 hours'::interval)`, entries(days), true},
		"young key":          {`INSERT INTO idempotency_keys (tenant, key, fingerprint, answer) VALUES ('other', 'k', '', '{}')`, entries(days), false},
		"delivered long ago": {fmt.Sprintf(deliver, `'delivered', NULL, now() - '25 hours'::interval`), entries(days), true},
		"delivered":          {fmt.Sprintf(deliver, `'delivered', NULL, now()`), entries(days), false},
		"delivery":           {fmt.Sprintf(deliver, `'pending', now(), NULL`), (*postgres.Store).TenantsWithDeliveries, true},
		"delivery later":     {fmt.Sprintf(deliver, `'pending', now() + '1 hour'::interval, NULL`), (*postgres.Store).TenantsWithDeliveries, false},
		"grown space":        {`INSERT INTO grown_spaces (tenant, space) VALUES ('other', 1)`, (*postgres.Store).TenantsWithGrownSpaces, true},
		"no grown space":     {`SELECT`, (*postgres.Store).TenantsWithGrownSpaces, false},
		"never verified":     {fmt.Sprintf(verified, "000000000000", "default"), verify, true},
		"verified in part":   {fmt.Sprintf(verified, "000000000000", "default") + ";" + fmt.Sprintf(verified, "000000000001", "other"), verify, true},
		"verified":           {fmt.Sprintf(verified, "000000000000", "default") + ";" + fmt.Sprintf(verified, "000000000000", "other"), verify, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := preparedDatabase(t)
			d.migrate(t)
			execute(t, d.owner, `DELETE FROM garbage`) // the search that a new tenant has
			conn := connect(t, d.owner)
			defer conn.Close(context.Background())
			if _, err := conn.PgConn().Exec(t.Context(), test.rows).ReadAll(); err != nil {
				t.Fatal(err)
			}
			var want []string
			if test.due {
				want = []string{storetest.OtherTenant}
			}
			if got, err := test.list(d.open(t), t.Context()); err != nil || !slices.Equal(got, want) {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
}

// What the background care of all tenants reads, with nothing to do, hardly grows
// with what they have, and costs a few microseconds for each of them.
func TestTenantsDueReadLittle(t *testing.T) {
	t.Parallel()
	const few, many, times = 10, 100, 4
	var read [2]int64
	for i, n := range []int{few, many} {
		d := preparedDatabase(t)
		d.migrate(t)
		for _, statement := range []string{
			`DELETE FROM garbage`,
			`INSERT INTO tenants (id) SELECT 't' || i FROM generate_series(1, 200) i`,
			`INSERT INTO uploads (tenant, object) SELECT t.id, i FROM tenants t, generate_series(1, %d) i`,
			`INSERT INTO idempotency_keys (tenant, key, fingerprint, answer) SELECT t.id, i, '', '{}' FROM tenants t, generate_series(1, %d) i`,
			`INSERT INTO garbage (tenant, kind, object, due_at) SELECT t.id, 'object', i, now() + '1 hour'::interval FROM tenants t, generate_series(1, %d) i`,
			`INSERT INTO released_sections (tenant, node) SELECT t.id, sha256(i::text::bytea) FROM tenants t, generate_series(1, %d) i`,
			`INSERT INTO webhooks (tenant, id, url, secret) SELECT id, gen_random_uuid(), '', '' FROM tenants`,
			`INSERT INTO deliveries (tenant, id, webhook, event, job, document, body, state, next_attempt_at, ended_at)
			 SELECT tenant, gen_random_uuid(), id, '', gen_random_uuid(), gen_random_uuid(), '', state, now() + '1 hour'::interval, now()
			 FROM webhooks, unnest('{pending,failed}'::text[]) state, generate_series(1, %d)`,
			`VACUUM ANALYZE`,
		} {
			if strings.Contains(statement, "%d") {
				statement = fmt.Sprintf(statement, n)
			}
			execute(t, d.owner, statement)
		}
		age := 24 * time.Hour
		read[i] = pagesReadBy(t, d, func(ctx context.Context, s *postgres.Store) {
			for range times {
				for _, list := range []func() ([]string, error){
					func() ([]string, error) {
						return s.TenantsWithGarbage(ctx, garbage.MinAges{Uploads: age, Sections: age, IdempotencyKeys: age, Deliveries: age})
					},
					func() ([]string, error) { return s.TenantsWithDeliveries(ctx) },
					func() ([]string, error) { return s.TenantsWithGrownSpaces(ctx) },
				} {
					if got, err := list(); err != nil || len(got) > 0 {
						t.Errorf("got %q, %v; want none", got, err)
					}
				}
			}
		})
	}
	t.Logf("%d rounds read %d and %d pages", times, read[0], read[1])
	if bound := read[0] * 3 / 2; read[1] > bound {
		t.Errorf("%d rounds read %d pages of what 202 tenants have, and %d of ten times as much, want at most %d", times, read[0], read[1], bound)
	}
}

// Looking for spaces that have grown reads those that were written to, not all
// that there are.
func TestGrownSpacesReadLittle(t *testing.T) {
	t.Parallel()
	const times = 4
	measure := func(spaces, written int) int64 {
		d := preparedDatabase(t)
		d.migrate(t)
		execute(t, d.owner, `INSERT INTO collections (tenant, id, name) SELECT 'default', gen_random_uuid(), i::text FROM generate_series(1, $1::integer) i`, spaces)
		execute(t, d.owner, `INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap) SELECT tenant, id, 'm', 2, 10, 0 FROM collections`)
		execute(t, d.owner, `UPDATE collections c SET active_space = s.id FROM spaces s WHERE s.collection = c.id`)
		execute(t, d.owner, `INSERT INTO shared_passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
			SELECT tenant, id, sha256(i::text::bytea), 1, '[1,0]', '{}', '', 'text' FROM spaces, generate_series(1, 3) i`)
		execute(t, d.owner, `VACUUM ANALYZE`)
		return pagesReadBy(t, d, func(ctx context.Context, s *postgres.Store) {
			for range times {
				execute(t, d.owner, `INSERT INTO grown_spaces (tenant, space) SELECT tenant, id FROM spaces ORDER BY id LIMIT $1`, written)
				for _, care := range []vector.Maintenance{vector.MaintenanceMove, vector.MaintenanceIndex} {
					if got, err := s.GrownSpaces(tenant.With(ctx, tenant.Default), care, 100); err != nil || len(got) > 0 {
						t.Errorf("got %v, %v; want none", got, err)
					}
				}
			}
		})
	}
	idle, idleOfMany := measure(10, 0), measure(10_000, 0)
	few, fewOfMany := measure(10, 5), measure(10_000, 5)
	t.Logf("%d looks read %d pages of 10 spaces and %d of 10,000; with 5 written to, %d and %d", times, idle, idleOfMany, few, fewOfMany)
	if idleOfMany > idle+times {
		t.Errorf("with nothing written: %d looks read %d pages of 10 spaces and %d of 10,000", times, idle, idleOfMany)
	}
	// A few levels more of each index.
	if fewOfMany > 2*few {
		t.Errorf("with 5 spaces written to: %d looks read %d pages of 10 spaces and %d of 10,000", times, few, fewOfMany)
	}
}
