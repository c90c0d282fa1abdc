package postgres

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Known returns those of the hashes whose passages are in the space, with how
// many bytes of what is embedded their vectors are of. It first copies in what
// other spaces of the model hold, and lists it: nothing places it yet. Rows are inserted in the order of their hashes,
// here, in insertPassages and in copyPassages: two transactions that add the
// same ones wait for each other, and must not do so in a circle. Hashes are
// looked up one after another, here and in holdPassages: while a space is small,
// the plan for an array of them is to read the whole table, and it is kept until
// the table is analysed.
func (s *Store) Known(ctx context.Context, space document.Space, hashes []document.Hash) (known map[document.Hash]int, err error) {
	defer describe(&err, "look up %d passages in space %d", len(hashes), space.ID)
	names := hashBytes(hashes)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		var batch pgx.Batch
		batch.Queue(`
			WITH copied AS (
			INSERT INTO passages (space, hash, tokens, embedding, title, heading_path, context, content, omitted, embedded_bytes)
			SELECT $1, p.hash, p.tokens, p.embedding, p.title, p.heading_path, p.context, p.content, p.omitted, p.embedded_bytes
			FROM spaces s
			JOIN passages p ON p.space = s.id
			WHERE s.model = $2 AND s.dimensions = $3 AND s.id <> $1
			  AND p.hash = ANY ($4)
			  AND NOT EXISTS (SELECT FROM passages here WHERE here.space = $1 AND here.hash = p.hash)
			ORDER BY p.hash
			ON CONFLICT DO NOTHING
			RETURNING hash
			)
			INSERT INTO garbage (kind, space, hashes, due_at)
			SELECT 'passages', $1, array_agg(hash), clock_timestamp() + $5::interval FROM copied HAVING count(*) > 0`,
			space.ID, space.Model.Name, space.Model.Dimensions, names, document.KeepPassages)
		batch.Queue(`
			SELECT p.hash, coalesce(p.embedded_bytes, 0)
			FROM unnest($2::bytea[]) AS wanted (hash)
			CROSS JOIN LATERAL (SELECT * FROM `+passagesTable(space)+` p WHERE p.space = $1 AND p.hash = wanted.hash OFFSET 0) p`, space.ID, names).
			Query(func(rows pgx.Rows) error {
				known = make(map[document.Hash]int, len(hashes))
				var hash []byte
				var bytes int
				_, err := pgx.ForEachRow(rows, []any{&hash, &bytes}, func() error {
					known[document.Hash(hash)] = bytes
					return nil
				})
				return err
			})
		return tx.SendBatch(ctx, &batch).Close()
	})
	return known, err
}

// holdPassages returns those of the hashes whose passages are in the space, and
// keeps Collect from removing them before the transaction ends.
func holdPassages(ctx context.Context, tx pgx.Tx, space document.Space, hashes []document.Hash) (map[document.Hash]bool, error) {
	held, err := collect(ctx, tx, scanHash, `
		SELECT p.hash
		FROM unnest($2::bytea[]) AS wanted (hash)
		CROSS JOIN LATERAL (SELECT p.hash FROM `+passagesTable(space)+` p WHERE p.space = $1 AND p.hash = wanted.hash FOR KEY SHARE) p`,
		space.ID, hashBytes(hashes))
	if err != nil {
		return nil, err
	}
	set := make(map[document.Hash]bool, len(held))
	for _, hash := range held {
		set[hash] = true
	}
	return set, nil
}

// insertPassages adds passages to a space, but those that are there already,
// and says how many it added. Passages go as one array for each column, since
// COPY is refused where there is row-level security. Arrays of arrays must be
// rectangular, so heading paths go as one array of headings and each one's
// bounds in it, and so do omitted ranges, of which most passages have none.
func insertPassages(ctx context.Context, tx pgx.Tx, space document.Space, passages []document.Embedded) (int, error) {
	var (
		n           = len(passages)
		hashes      = make([][]byte, n)
		tokens      = make([]int, n)
		vectors     = make([]pgvector.HalfVector, n)
		first, last = make([]int, n), make([]int, n)
		headings    = []string{}
		titles      = make([]string, n)
		contexts    = make([]string, n)
		contents    = make([]string, n)

		firstOmitted, lastOmitted = make([]int, n), make([]int, n)
		omitted                   = []int{}
		embedded                  = make([]*int, n)
	)
	slices.SortFunc(passages, func(a, b document.Embedded) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	for i, p := range passages {
		hashes[i], tokens[i], titles[i], contexts[i], contents[i] = p.Hash[:], p.Tokens, p.Title, p.Context, p.Content
		vectors[i] = pgvector.NewHalfVector(p.Vector)
		first[i] = len(headings) + 1
		headings = append(headings, p.HeadingPath...)
		last[i] = len(headings)
		firstOmitted[i] = len(omitted) + 1
		omitted = append(omitted, document.FlatRanges(p.Omitted)...)
		lastOmitted[i] = len(omitted)
		embedded[i] = nullable(p.EmbeddedBytes)
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO `+passagesTable(space)+` (space, hash, tokens, embedding, heading_path, title, context, content, omitted, embedded_bytes)
		SELECT $1, hash, tokens, embedding, ($2::text[])[first:last], title, context, content,
		       nullif(($3::integer[])[first_omitted:last_omitted], '{}'), embedded_bytes
		FROM unnest($4::bytea[], $5::integer[], $6::halfvec[], $7::integer[], $8::integer[], $9::text[], $10::text[], $11::text[], $12::integer[], $13::integer[], $14::integer[])
		     AS new (hash, tokens, embedding, first, last, title, context, content, first_omitted, last_omitted, embedded_bytes)
		ON CONFLICT DO NOTHING`,
		space.ID, headings, omitted, hashes, tokens, vectors, first, last, titles, contexts, contents, firstOmitted, lastOmitted, embedded)
	return int(tag.RowsAffected()), err
}

// copyPassages is insertPassages for the many passages of a space that is being
// built: by COPY, into a table of this transaction, and from there. For some
// hundreds of rows that is half as fast again.
func copyPassages(ctx context.Context, tx pgx.Tx, space document.Space, passages []document.Embedded) (int, error) {
	if _, err := tx.Exec(ctx, `
		CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE passages INCLUDING DEFAULTS INCLUDING STORAGE) ON COMMIT DROP`); err != nil {
		return 0, err
	}
	columns := []string{"space", "hash", "tokens", "embedding", "title", "heading_path", "context", "content", "omitted", "embedded_bytes"}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "incoming"}, columns, pgx.CopyFromSlice(len(passages), func(i int) ([]any, error) {
		p := &passages[i]
		headings := append([]string{}, p.HeadingPath...) // nil would be NULL
		return []any{space.ID, p.Hash[:], p.Tokens, pgvector.NewHalfVector(p.Vector), p.Title, headings, p.Context, p.Content, document.FlatRanges(p.Omitted), nullable(p.EmbeddedBytes)}, nil
	})); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO `+passagesTable(space)+`
		SELECT * FROM pg_temp.incoming ORDER BY hash
		ON CONFLICT DO NOTHING`)
	return int(tag.RowsAffected()), err
}

// queuePlaces writes parts of manifests. What is there already was written by
// the same call, whose answer was lost.
func queuePlaces(batch *pgx.Batch, space int64, of []document.RebuiltPlaces) {
	var (
		documents []uuid.UUID
		versions  []int
		ordinals  []int
		hashes    [][]byte
		starts    []int64
		ends      []int64
	)
	for _, v := range of {
		for i, p := range v.Places {
			documents, versions = append(documents, v.Document), append(versions, v.Version)
			ordinals, hashes = append(ordinals, p.Ordinal), append(hashes, v.Places[i].Hash[:])
			starts, ends = append(starts, p.Start), append(ends, p.End)
		}
	}
	if len(ordinals) == 0 {
		return
	}
	batch.Queue(`
		INSERT INTO manifest (space, document, version, ordinal, hash, start_byte, end_byte)
		SELECT $1, * FROM unnest($2::uuid[], $3::integer[], $4::integer[], $5::bytea[], $6::bigint[], $7::bigint[])
		ON CONFLICT DO NOTHING`,
		space, documents, versions, ordinals, hashes, starts, ends)
}

func hashBytes(hashes []document.Hash) [][]byte {
	raw := make([][]byte, len(hashes))
	for i := range hashes {
		raw[i] = hashes[i][:]
	}
	return raw
}

func scanHash(row pgx.CollectableRow) (hash document.Hash, err error) {
	var raw []byte
	if err := row.Scan(&raw); err != nil {
		return hash, err
	}
	copy(hash[:], raw)
	return hash, nil
}
