package postgres

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// knownTries is how often Known looks for where to copy a passage from: a space
// that it finds may be moved or dropped before it reads there.
const knownTries = 3

// ReusePassages returns those of the hashes whose passages are in the space, with how
// many bytes of what is embedded their vectors are of. What is missing there and
// stands in another space of the model it first copies in.
func (s *Store) ReusePassages(ctx context.Context, space vector.Space, hashes []document.ContentHash) (known map[document.ContentHash]int, err error) {
	defer wrapError(&err, "look up %d passages in space %d", len(hashes), space.ID)
	var there map[document.ContentHash]int
	var others bool
	var table string
	if err := s.inOneTrip(ctx, func(batch *pgx.Batch) {
		there, table = make(map[document.ContentHash]int, len(hashes)), passagesTable(space)
		queueLookUpPassages(batch, space, hashes, there)
		queueReadSpace(batch, space.ID, &space)
		batch.Queue(`
			SELECT EXISTS (SELECT FROM spaces WHERE model = $1 AND dimensions = $2 AND id <> $3)`, space.Model.Name, space.Model.Dimensions, space.ID).
			QueryRow(func(row pgx.Row) error { return row.Scan(&others) })
	}); err != nil {
		return nil, err
	}
	moved := passagesTable(space) != table
	if len(there) == len(hashes) || !others && !moved {
		return there, nil
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) (err error) {
		known = maps.Clone(there)
		if moved {
			if err := lookUpPassages(ctx, tx, &space, hashes, known); err != nil {
				return err
			}
		}
		missing := unknownHashes(hashes, known)
		for range knownTries {
			if missing, err = copyFromOtherSpaces(ctx, tx, space, missing); err != nil || len(missing) == 0 {
				return err
			}
			if err := lookUpPassages(ctx, tx, &space, missing, known); err != nil {
				return err
			}
			if missing = unknownHashes(missing, known); len(missing) == 0 {
				return nil
			}
		}
		return nil
	})
	return known, err
}

// unknownHashes returns those of the hashes that are not known.
func unknownHashes(hashes []document.ContentHash, known map[document.ContentHash]int) []document.ContentHash {
	return slices.DeleteFunc(slices.Clone(hashes), func(hash document.ContentHash) bool {
		_, there := known[hash]
		return there
	})
}

// lookUpPassages adds to known those of the hashes whose passages are in the space. It
// looks again when these stand in another table by then than it looked in.
func lookUpPassages(ctx context.Context, tx pgx.Tx, space *vector.Space, hashes []document.ContentHash, known map[document.ContentHash]int) error {
	for {
		table := passagesTable(*space)
		var batch pgx.Batch
		queueLookUpPassages(&batch, *space, hashes, known)
		queueReadSpace(&batch, space.ID, space)
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil || passagesTable(*space) == table {
			return err
		}
	}
}

// queueLookUpPassages is lookUp in the table that the space stands in as far as is known.
// Hashes are looked up one after another, here, in holdPassages and in what joins
// a version's places with their passages: while a table is small, the plan for an
// array of them is to read all of it, and it is kept until the table is analysed.
func queueLookUpPassages(batch *pgx.Batch, space vector.Space, hashes []document.ContentHash, known map[document.ContentHash]int) {
	batch.Queue(`
		SELECT p.hash, coalesce(p.embedded_bytes, 0)
		FROM unnest($2::bytea[]) AS wanted (hash)
		CROSS JOIN LATERAL (SELECT * FROM `+passagesTable(space)+` p WHERE p.space = $1 AND p.hash = wanted.hash OFFSET 0) p`, space.ID, hashBytes(hashes)).
		Query(func(rows pgx.Rows) error {
			var hash []byte
			var bytes int
			_, err := pgx.ForEachRow(rows, []any{&hash, &bytes}, func() error {
				known[document.ContentHash(hash)] = bytes
				return nil
			})
			return err
		})
}

// passageSource is a space from which a passage can be copied.
type passageSource struct {
	hash  []byte
	space vector.Space
}

// sourceSpaceQuery is a space of model $1 and dimensions $2, but $3, in which the passage
// with the hash wanted.hash stands, the newest one. It goes from one space with
// the passage to the next, however often the passage stands in each.
const sourceSpaceQuery = `(
	WITH RECURSIVE standing AS (
		(SELECT m.space FROM manifest m WHERE m.hash = wanted.hash ORDER BY m.space DESC LIMIT 1)
		UNION ALL
		SELECT (SELECT m.space FROM manifest m WHERE m.hash = wanted.hash AND m.space < standing.space ORDER BY m.space DESC LIMIT 1)
		FROM standing
		WHERE standing.space IS NOT NULL
	)
	SELECT ` + spaceColumns + `
	FROM standing
	CROSS JOIN LATERAL (
		SELECT * FROM spaces
		WHERE id = standing.space AND model = $1 AND dimensions = $2 AND id <> $3 AND drop_after IS DISTINCT FROM '-infinity'
		OFFSET 0
	) AS s
	LIMIT 1
)`

// selectSiblingSpaces are the other spaces of collection $1 with model $2 and dimensions $3
// than $4. They may have passages that stand nowhere, which a reindex that did
// not finish has paid for.
const selectSiblingSpaces = selectSpaces + `
	WHERE s.collection = $1 AND s.model = $2 AND s.dimensions = $3 AND s.id <> $4 AND s.drop_after IS DISTINCT FROM '-infinity'
	ORDER BY s.id`

// copyFromOtherSpaces copies into a space those of the hashes that another space of its
// model has (see sourceOf and siblingsOf), lists them, since nothing places them
// yet, and returns them. Rows are inserted in the order of their
// hashes, here and in insertPassages: two transactions that add the same ones wait
// for each other, and must not do so in a circle.
func copyFromOtherSpaces(ctx context.Context, tx pgx.Tx, to vector.Space, missing []document.ContentHash) (copied []document.ContentHash, err error) {
	var space heldSpace
	sources := make(map[string][]passageSource) // by table
	var batch pgx.Batch
	queueHoldSpace(&batch, to.ID, &space)
	batch.Queue(`
		SELECT wanted.hash, source.*
		FROM unnest($4::bytea[]) AS wanted (hash)
		CROSS JOIN LATERAL `+sourceSpaceQuery+` AS source`, to.Model.Name, to.Model.Dimensions, to.ID, hashBytes(missing)).
		Query(func(rows pgx.Rows) error {
			var from passageSource
			_, err := pgx.ForEachRow(rows, append([]any{&from.hash}, spaceFields(&from.space)...), func() error {
				table := passagesTable(from.space)
				sources[table] = append(sources[table], from)
				copied = append(copied, document.ContentHash(from.hash))
				return nil
			})
			return err
		})
	var siblings []vector.Space
	batch.Queue(selectSiblingSpaces, to.CollectionID, to.Model.Name, to.Model.Dimensions, to.ID).Query(func(rows pgx.Rows) (err error) {
		siblings, err = pgx.CollectRows(rows, scanSpace)
		return err
	})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	for _, sibling := range siblings {
		rest := slices.DeleteFunc(slices.Clone(missing), func(hash document.ContentHash) bool { return slices.Contains(copied, hash) })
		has := make(map[document.ContentHash]int)
		if err := lookUpPassages(ctx, tx, &sibling, rest, has); err != nil {
			return nil, err
		}
		table := passagesTable(sibling)
		for hash := range has {
			sources[table] = append(sources[table], passageSource{hash[:], sibling})
			copied = append(copied, hash)
		}
	}
	if len(copied) == 0 {
		return nil, nil
	}
	args := []any{space.ID, garbage.PassageRetention}
	var selects []string
	for _, table := range slices.Sorted(maps.Keys(sources)) {
		var spaces []int64
		var hashes [][]byte
		for _, from := range sources[table] {
			spaces, hashes = append(spaces, from.space.ID), append(hashes, from.hash)
		}
		args = append(args, spaces, hashes)
		selects = append(selects, fmt.Sprintf(`
			SELECT p.*
			FROM unnest($%d::bigint[], $%d::bytea[]) AS source (space, hash)
			CROSS JOIN LATERAL (
				SELECT `+passageColumns+` FROM %s WHERE space = source.space AND hash = source.hash OFFSET 0
			) AS p`, len(args)-1, len(args), table))
	}
	if _, err := tx.Exec(ctx, `
		WITH copied AS (
			INSERT INTO `+passagesTable(space.Space)+` (space, `+passageColumns+`)
			SELECT $1, * FROM (`+strings.Join(selects, " UNION ALL ")+`) AS p
			ORDER BY hash
			ON CONFLICT DO NOTHING
			RETURNING hash
		)
		INSERT INTO garbage (kind, space, hashes, due_at)
		SELECT 'passages', $1, array_agg(hash), clock_timestamp() + $2::interval FROM copied HAVING count(*) > 0`, args...); err != nil {
		return nil, err
	}
	return copied, space.mirrorPassages(ctx, tx, hashBytes(copied))
}

// holdPassages returns those of the hashes whose passages are in the space, and
// keeps Collect from removing them before the transaction ends.
func holdPassages(ctx context.Context, tx pgx.Tx, space heldSpace, hashes []document.ContentHash) (map[document.ContentHash]bool, error) {
	held, err := queryAll(ctx, tx, scanHash, `
		SELECT p.hash
		FROM unnest($2::bytea[]) AS wanted (hash)
		CROSS JOIN LATERAL (SELECT p.hash FROM `+passagesTable(space.Space)+` p WHERE p.space = $1 AND p.hash = wanted.hash FOR KEY SHARE) p`,
		space.ID, hashBytes(hashes))
	if err != nil {
		return nil, err
	}
	set := make(map[document.ContentHash]bool, len(held))
	for _, hash := range held {
		set[hash] = true
	}
	return set, nil
}

// insertPassages adds passages to a space, but those that are there already,
// and says how many it added. Passages go as one array for each column: COPY is
// refused where there is row-level security, and costs more by way of a temporary
// table; see BenchmarkAddPassages. Arrays of arrays must be rectangular, so
// heading paths go as one array of headings and each one's bounds in it, and so do
// omitted ranges, of which most passages have none.
func insertPassages(ctx context.Context, tx pgx.Tx, space heldSpace, passages []vector.EmbeddedPassage) (int, error) {
	var (
		n           = len(passages)
		hashes      = make([][]byte, n)
		tokens      = make([]int, n)
		embeddings  = make(vectors, n)
		first, last = make([]int, n), make([]int, n)
		headings    = []string{}
		titles      = make([]string, n)
		contexts    = make([]string, n)
		contents    = make([]string, n)

		firstOmitted, lastOmitted = make([]int, n), make([]int, n)
		omitted                   = []int{}
		embedded                  = make([]*int, n)
	)
	slices.SortFunc(passages, func(a, b vector.EmbeddedPassage) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	for i, p := range passages {
		if len(p.Vector) != space.Model.Dimensions {
			return 0, errVectorLength(space, p)
		}
		hashes[i], tokens[i], titles[i], contexts[i], contents[i] = p.Hash[:], p.Tokens, p.Title, p.Context, p.Content
		embeddings[i] = p.Vector
		first[i] = len(headings) + 1
		headings = append(headings, p.HeadingPath...)
		last[i] = len(headings)
		firstOmitted[i] = len(omitted) + 1
		omitted = append(omitted, vector.FlattenRanges(p.Omitted)...)
		lastOmitted[i] = len(omitted)
		embedded[i] = nullIfZero(p.EmbeddedBytes)
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO `+passagesTable(space.Space)+` (space, hash, tokens, embedding, heading_path, title, context, content, omitted, embedded_bytes)
		SELECT $1, hash, tokens, embedding, ($2::text[])[first:last], title, context, content,
		       nullif(($3::integer[])[first_omitted:last_omitted], '{}'), embedded_bytes
		FROM unnest($4::bytea[], $5::integer[], $6::halfvec[], $7::integer[], $8::integer[], $9::text[], $10::text[], $11::text[], $12::integer[], $13::integer[], $14::integer[])
		     AS new (hash, tokens, embedding, first, last, title, context, content, first_omitted, last_omitted, embedded_bytes)
		ON CONFLICT DO NOTHING`,
		space.ID, headings, omitted, hashes, tokens, embeddings, first, last, titles, contexts, contents, firstOmitted, lastOmitted, embedded)
	if err != nil {
		return 0, err
	}
	return int(tag.RowsAffected()), space.mirrorPassages(ctx, tx, hashes)
}

// errVectorLength is of a passage whose vector does not have the length of its space.
func errVectorLength(space heldSpace, p vector.EmbeddedPassage) error {
	return fmt.Errorf("the vector of passage %x has %d dimensions, those of space %d have %d", p.Hash, len(p.Vector), space.ID, space.Model.Dimensions)
}

// queueInsertManifest writes parts of manifests. What is there already was written by
// the same call, whose answer was lost.
func queueInsertManifest(batch *pgx.Batch, space int64, of []rebuild.VersionWrite) {
	var (
		documents []uuid.UUID
		versions  []int
		ordinals  []int
		hashes    [][]byte
		starts    []int64
		ends      []int64
	)
	for _, v := range of {
		for i, p := range v.Entries {
			documents, versions = append(documents, v.DocumentID), append(versions, v.Version)
			ordinals, hashes = append(ordinals, p.Ordinal), append(hashes, v.Entries[i].Hash[:])
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

func hashBytes(hashes []document.ContentHash) [][]byte {
	raw := make([][]byte, len(hashes))
	for i := range hashes {
		raw[i] = hashes[i][:]
	}
	return raw
}

func scanHash(row pgx.CollectableRow) (hash document.ContentHash, err error) {
	var raw []byte
	if err := row.Scan(&raw); err != nil {
		return hash, err
	}
	copy(hash[:], raw)
	return hash, nil
}
