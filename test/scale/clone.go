package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// docTemplate is a document that the product has stored, from which cloneDocuments makes more.
type docTemplate struct {
	original document.Accepted
	prefix   string // prefix of the clones' keys
	passages int    // number of passages of the published version
	waiting  bool   // its job has not ended

	first, count int // numbers of the clones
}

// column is a column of a table.
type column struct {
	name, kind string
	identity   bool
}

// otherTables are tables that cloneDocuments does not change, because their rows do not belong to a
// document. A trigger maintains backlog, see knownTriggers.
var otherTables = []string{
	"tenants", "collections", "collection_counts", "spaces", "reindexes", "uploads", "idempotency_keys", "backlog", "released_sections",
	"verifications", "webhooks", "deliveries", "grown_spaces",
}

// knownTriggers are the triggers whose effect cloneDocuments knows; no trigger runs while it
// inserts rows. backlog and backlog_update count jobs, which cloneDocuments does too. collection
// and fields write what the template has already. counts counts collections. missed_publications
// (missed in an earlier release) counts documents that are not in every space, of which there are
// none.
var knownTriggers = []string{"backlog", "backlog_update", "collection", "counts", "fields", "missed_publications", "missed"}

// sharedColumns are columns that contain a uuid or bytes and have the same value in all clones of a
// template.
var sharedColumns = []string{"collection", "reindex", "lease", "webhook"}

// cloneDocuments makes documents like one that the product has stored. In every table with rows of
// the document, its versions, jobs or passages, it inserts these rows again for each clone: with
// other ids, keys, hashes, originals and vectors, two days older, and otherwise unchanged. It reads
// the tables and columns from the catalogue, and fails if it does not know how to treat one.
func (d *database) cloneDocuments(s docTemplate) {
	d.checkTriggers()
	type insert struct {
		table     string
		statement string
	}
	var inserts []insert
	for _, table := range d.queryTexts(`
		SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY c.relname`) {
		columns := d.columns(table)
		var rows string
		switch {
		case table == "documents":
			rows = "id = $1"
		case hasColumn(columns, "document"):
			rows = "document = $1"
		case hasColumn(columns, "hash") && hasColumn(columns, "space"):
			rows = "(space, hash) IN (SELECT space, hash FROM public.manifest WHERE document = $1)"
		case hasColumn(columns, "node"):
			rows = "node IN (SELECT node FROM public.version_sections WHERE document = $1)"
		default:
			if !slices.Contains(otherTables, table) {
				d.Fatalf("table %s is new, and has no column document: define in test/scale which of its rows belong to a document", table)
			}
			continue
		}
		if slices.Contains(otherTables, table) || !d.queryBool("SELECT EXISTS (SELECT FROM public."+strconv.Quote(table)+" WHERE "+rows+")", s.original.Document.ID) {
			continue
		}
		var into, values []string
		for _, c := range columns {
			if c.identity {
				continue
			}
			into = append(into, fmt.Sprintf("%q", c.name))
			values = append(values, d.value(table, c, s))
		}
		inserts = append(inserts, insert{table, fmt.Sprintf(`
			INSERT INTO public.%[1]q (%[2]s)
			SELECT %[3]s
			FROM (SELECT *, row_number() OVER () - 1 AS nth FROM public.%[1]q WHERE %[4]s) AS made
			CROSS JOIN generate_series($2::bigint, $3::bigint) AS n`,
			table, strings.Join(into, ", "), strings.Join(values, ", "), rows)})
	}
	const batch = 5000
	d.exec("SET session_replication_role = replica") // neither triggers nor foreign keys
	id := s.original.Document.ID
	for from := s.first; from < s.first+s.count; from += batch {
		to := min(from+batch, s.first+s.count) - 1
		for _, i := range inserts {
			d.exec(i.statement, id, from, to)
		}
	}
	d.exec("RESET session_replication_role")
	if s.waiting {
		d.exec(`INSERT INTO public.backlog (tenant, jobs, bytes) SELECT tenant, $2::bigint, $2::bigint * size FROM public.jobs WHERE document = $1`, id, s.count)
	}
}

// columns returns the columns of a table that an INSERT may set.
func (d *database) columns(table string) (columns []column) {
	rows, err := d.owner.Query(d.ctx, `
		SELECT attname, format_type(atttypid, NULL), attidentity <> ''
		FROM pg_attribute
		WHERE attrelid = ('public.' || quote_ident($1))::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
		ORDER BY attnum`, table)
	d.must(err)
	defer rows.Close()
	for rows.Next() {
		var c column
		d.must(rows.Scan(&c.name, &c.kind, &c.identity))
		columns = append(columns, c)
	}
	d.must(rows.Err())
	return columns
}

func hasColumn(columns []column, name string) bool {
	return slices.ContainsFunc(columns, func(c column) bool { return c.name == name })
}

// checkTriggers fails if the schema has a trigger whose effect cloneDocuments does not know.
func (d *database) checkTriggers() {
	for _, name := range d.queryTexts(`
		SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace`) {
		if !slices.Contains(knownTriggers, name) {
			d.Fatalf("trigger %s is new: make cloneDocuments in test/scale write what it writes", name)
		}
	}
}

// value returns the SQL expression for a column of a row of clone n.
func (d *database) value(table string, c column, s docTemplate) string {
	name := fmt.Sprintf("made.%q", c.name)
	switch {
	case c.name == "id" && c.kind == "uuid", c.name == "document", c.name == "job":
		return newID(name)
	case c.name == "hash", c.name == "node":
		return newHash(name)
	case c.name == "hashes":
		return fmt.Sprintf("(SELECT pg_catalog.array_agg(%s) FROM unnest(%s) AS old (hash))", newHash("old.hash"), name)
	case c.name == "key":
		return fmt.Sprintf("'%s' || n || '.md'", s.prefix)
	case c.name == "object", c.name == "object_etag", c.name == "tag": // tag in an earlier release
		return fmt.Sprintf("CASE WHEN %[1]s <> '' THEN md5(%[1]s || n)::uuid::text ELSE %[1]s END", name)
	case c.name == "sha256":
		return fmt.Sprintf("encode(sha256(convert_to(%s || n, 'UTF8')), 'hex')", name)
	case c.name == "embedding":
		return newVector(s)
	case slices.Contains([]string{"created_at", "updated_at", "started_at", "finished_at", "dispatched_at"}, c.name):
		return name + " - interval '2 days'"
	case (c.kind == "uuid" || strings.HasPrefix(c.kind, "bytea")) && !slices.Contains(sharedColumns, c.name):
		d.Fatalf("column %s of table %s is new: define in test/scale what it contains", c.name, table)
	}
	return name
}

// newID returns the SQL expression for an id (UUID version 7) of clone n. The id is in the past, so
// that later ones are newer. Documents and jobs have different ids.
func newID(old string) string {
	return fmt.Sprintf(`CASE WHEN %[1]s IS NOT NULL THEN (lpad(to_hex(%[2]d + n), 12, '0') || '7' || substr(md5(%[1]s::text || n), 1, 3) || '8' || substr(md5(%[1]s::text || n), 4, 15))::uuid END`,
		old, idBase.UnixMilli())
}

var idBase = time.Now().Add(-48 * time.Hour)

func newHash(old string) string { return fmt.Sprintf("sha256(%s || int8send(n))", old) }

// newVector returns the SQL expression for a mixture of two vectors of the pool, a different pair
// for each passage.
func newVector(s docTemplate) string {
	g := fmt.Sprintf("(n * %d + made.nth)", max(1, s.passages))
	return fmt.Sprintf(`(SELECT public.l2_normalize(a.embedding OPERATOR(public.+) b.embedding)
		FROM scale.vectors a, scale.vectors b
		WHERE a.id = %[1]s %% scale.vector_count() AND b.id = (%[1]s + %[1]s / scale.vector_count() * 7919) %% scale.vector_count())`, g)
}

// cloneID returns the id that a document or a job of the template has in clone n.
func (d *database) cloneID(old uuid.UUID, n int) (id uuid.UUID) {
	d.must(d.owner.QueryRow(d.ctx, `SELECT `+newID("made.id")+` FROM (SELECT $1::uuid AS id) AS made, (SELECT $2::bigint AS n) AS numbers`, old, n).Scan(&id))
	return id
}
