package audit

import (
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// invariants are queries that count rows which must not exist once every job has ended and the
// sweep has run. what describes the rows.
var invariants = []struct{ what, query string }{
	{"documents that are neither ready nor failed",
		`SELECT count(*) FROM documents WHERE state NOT IN ('ready', 'failed') OR (state = 'ready') <> (published_version IS NOT NULL)`},
	{"documents whose newest version is done but not published",
		`SELECT count(*) FROM documents d JOIN tasks t ON t.document = d.id AND t.version = d.newest_version
		 WHERE t.kind = 'knowledge' AND t.state = 'succeeded' AND d.published_version IS DISTINCT FROM d.newest_version`},
	{"published versions that are not complete in the active space of their collection",
		`SELECT count(*) FROM documents d JOIN collections c ON c.id = d.collection
		 WHERE d.published_version IS NOT NULL AND NOT EXISTS (
		     SELECT FROM space_versions p
		     WHERE p.document = d.id AND p.version = d.published_version AND p.space = c.active_space AND p.passages > 0)`},
	{"space versions without all of their manifest entries",
		`SELECT count(*) FROM space_versions p, LATERAL (
		     SELECT count(*) AS places, max(ordinal) AS last FROM manifest m
		     WHERE m.document = p.document AND m.version = p.version AND m.space = p.space) m
		 WHERE m.places <> p.passages OR m.last IS DISTINCT FROM p.passages - 1`},
	{"manifest entries of published versions whose passage with its vector does not exist",
		`SELECT count(*) FROM documents d JOIN manifest m ON m.document = d.id AND m.version = d.published_version
		 WHERE NOT EXISTS (SELECT FROM ` + program.AllPassagesSQL + ` p JOIN spaces s ON s.id = p.space
		                   WHERE p.space = m.space AND p.hash = m.hash AND vector_dims(p.embedding) = s.dimensions)`},
	{"obsolete versions",
		`SELECT count(*) FROM versions v JOIN documents d ON d.id = v.document
		 WHERE v.version <> d.newest_version AND v.version IS DISTINCT FROM d.published_version`},
	{"documents without a version",
		`SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT FROM versions v WHERE v.document = d.id)`},
	{"manifest entries and space versions of versions that do not exist",
		`SELECT count(*) FROM (SELECT document, version FROM manifest UNION ALL SELECT document, version FROM space_versions) m
		 WHERE NOT EXISTS (SELECT FROM versions v WHERE v.document = m.document AND v.version = m.version)`},
	{"manifest entries, space versions and passages in spaces that do not exist",
		`SELECT count(*) FROM (SELECT space FROM manifest UNION ALL SELECT space FROM space_versions UNION ALL SELECT space FROM ` + program.AllPassagesSQL + ` p) m
		 WHERE NOT EXISTS (SELECT FROM spaces s WHERE s.id = m.space)`},
	{"partitions of spaces that do not exist",
		`SELECT count(*) FROM pg_class c WHERE c.relkind = 'r' AND c.relname ~ '^passages_[0-9]+$'
		 AND NOT EXISTS (SELECT FROM spaces s WHERE c.oid = to_regclass(format('public.passages_%s', s.id)))`},
	{"spaces that are not active in any collection",
		`SELECT count(*) FROM spaces s WHERE NOT EXISTS (SELECT FROM collections c WHERE c.active_space = s.id)`},
	{"active spaces that are not written or are to be dropped",
		`SELECT count(*) FROM collections c LEFT JOIN spaces s ON s.id = c.active_space
		 WHERE s.id IS NULL OR NOT s.written OR s.drop_after IS NOT NULL`},
	{"spaces marked as indexed that have no valid index",
		`SELECT count(*) FROM spaces s WHERE s.indexed AND NOT EXISTS (
		     SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		     WHERE i.indrelid = to_regclass(format('public.passages_%s', s.id)) AND a.amname = 'hnsw' AND i.indisvalid)`},
	{"reindexes without an end, or failed without a reason",
		`SELECT count(*) FROM reindexes WHERE finished_at IS NULL OR (state = 'failed' AND error = '')`},
	{"passages without a manifest entry",
		`SELECT count(*) FROM ` + program.AllPassagesSQL + ` p WHERE NOT EXISTS (SELECT FROM manifest m WHERE m.space = p.space AND m.hash = p.hash)`},
	{"versions without a job and jobs without their tasks",
		`SELECT count(*) FROM versions v WHERE 2 <> (SELECT count(*) FROM jobs j JOIN tasks t ON t.job = j.id
		     WHERE j.document = v.document AND j.version = v.version AND t.document = v.document AND t.version = v.version)`},
	{"tasks without a job",
		`SELECT count(*) FROM tasks t WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = t.job)`},
	{"tasks that failed or were cancelled without a reason",
		`SELECT count(*) FROM tasks WHERE state IN ('failed', 'cancelled') AND error = ''`},
	{"jobs or bytes that are counted as backlog although all work is done",
		`SELECT coalesce(abs(sum(jobs)) + abs(sum(bytes)), 0) FROM backlog`},
	{"summaries of versions that do not exist",
		`SELECT count(*) FROM summaries s WHERE NOT EXISTS (
		     SELECT FROM versions v WHERE v.document = s.document AND v.version = s.version)`},
}

// checkInvariants fails the test for every query of invariants that finds rows.
func (a Audit) checkInvariants(t testing.TB) {
	t.Helper()
	for _, n := range invariants {
		if rows := a.Installation.QueryInt(n.query); rows != 0 {
			t.Errorf("%d %s", rows, n.what)
		}
	}
	t.Logf("audit: %d documents, %d versions, %d manifest entries, %d passages", a.Installation.QueryInt(`SELECT count(*) FROM documents`),
		a.Installation.QueryInt(`SELECT count(*) FROM versions`), a.Installation.QueryInt(`SELECT count(*) FROM manifest`), a.Installation.QueryInt(`SELECT count(*) FROM `+program.AllPassagesSQL+` p`))
}
