package audit

import (
	"testing"
)

// never are rows that must not be there once every job has ended and the sweep
// has swept, by what they are.
var never = []struct{ what, query string }{
	{"documents that are neither ready nor failed",
		`SELECT count(*) FROM documents WHERE state NOT IN ('ready', 'failed') OR (state = 'ready') <> (live_version IS NOT NULL)`},
	{"documents whose newest version is done and not live",
		`SELECT count(*) FROM documents d JOIN tasks t ON t.document = d.id AND t.version = d.newest_version
		 WHERE t.kind = 'knowledge' AND t.state = 'succeeded' AND d.live_version IS DISTINCT FROM d.newest_version`},
	{"live versions without a passage",
		`SELECT count(*) FROM documents d WHERE live_version IS NOT NULL AND NOT EXISTS (
		     SELECT FROM manifest m WHERE m.document = d.id AND m.version = d.live_version)`},
	{"places in live versions whose passage, with its vector, is not there",
		`SELECT count(*) FROM documents d JOIN manifest m ON m.document = d.id AND m.version = d.live_version
		 WHERE NOT EXISTS (SELECT FROM passages p JOIN spaces s ON s.id = p.space
		                   WHERE p.space = m.space AND p.hash = m.hash AND vector_dims(p.embedding) = s.dimensions)`},
	{"superseded versions",
		`SELECT count(*) FROM versions v JOIN documents d ON d.id = v.document
		 WHERE v.version <> d.newest_version AND v.version IS DISTINCT FROM d.live_version`},
	{"documents without a version",
		`SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT FROM versions v WHERE v.document = d.id)`},
	{"places in versions that are not there",
		`SELECT count(*) FROM manifest m WHERE NOT EXISTS (
		     SELECT FROM versions v WHERE v.document = m.document AND v.version = m.version)`},
	{"passages that stand nowhere",
		`SELECT count(*) FROM passages p WHERE NOT EXISTS (SELECT FROM manifest m WHERE m.space = p.space AND m.hash = p.hash)`},
	{"versions without a job and jobs without their tasks",
		`SELECT count(*) FROM versions v WHERE 2 <> (SELECT count(*) FROM jobs j JOIN tasks t ON t.job = j.id
		     WHERE j.document = v.document AND j.version = v.version AND t.document = v.document AND t.version = v.version)`},
	{"tasks without a job",
		`SELECT count(*) FROM tasks t WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = t.job)`},
	{"tasks that failed for no reason",
		`SELECT count(*) FROM tasks WHERE state IN ('failed', 'cancelled') AND error = ''`},
	{"jobs or bytes that are counted as backlog, and are none",
		`SELECT coalesce(abs(sum(jobs)) + abs(sum(bytes)), 0) FROM backlog`},
	{"summaries of versions that are not there",
		`SELECT count(*) FROM summaries s WHERE NOT EXISTS (
		     SELECT FROM versions v WHERE v.document = s.document AND v.version = s.version)`},
}

// checkRows looks for rows that must not be there.
func (a Audit) checkRows(t testing.TB) {
	t.Helper()
	for _, n := range never {
		if rows := a.Site.Count(n.query); rows != 0 {
			t.Errorf("%d %s", rows, n.what)
		}
	}
	t.Logf("audit: %d documents, %d versions, %d places, %d passages", a.Site.Count(`SELECT count(*) FROM documents`),
		a.Site.Count(`SELECT count(*) FROM versions`), a.Site.Count(`SELECT count(*) FROM manifest`), a.Site.Count(`SELECT count(*) FROM passages`))
}
