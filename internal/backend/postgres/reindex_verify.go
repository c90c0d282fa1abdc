package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// How many documents, and about how many places, one transaction reads.
const (
	statePageDocuments = 500
	statePageEntries   = 20_000
)

// reindexScope is which documents of a collection a reindex looks at, and in which
// space they should stand. Zero fields do not narrow.
type reindexScope struct {
	collection uuid.UUID
	space      int64
	keyPrefix  string
	documents  []uuid.UUID
	reindex    uuid.UUID // whose jobs RequeuedJob is about
}

// condition is that for a document d to be in the scope: a collection $1, a key
// prefix $3 and documents $4. It does not say what does not narrow: PostgreSQL
// would expect next to nothing of a condition such as "$4 IS NULL OR …", and sort
// all documents for each page instead of reading them in order.
func (in reindexScope) condition() string {
	condition := `d.collection = $1 AND d.deleted_at IS NULL`
	if in.keyPrefix != "" {
		condition += ` AND starts_with(d.key, $3)`
	} else {
		condition += ` AND $3::text = ''`
	}
	if in.documents != nil {
		return condition + ` AND d.id = ANY ($4)`
	}
	return condition + ` AND $4::uuid[] IS NULL`
}

// hasActiveJob is the condition for the newest version of a document d to have a
// job that has not ended and whose knowledge task has not failed. OFFSET 0
// keeps PostgreSQL from making a join of it.
const hasActiveJob = `EXISTS (
	SELECT FROM jobs j
	WHERE j.document = d.id AND j.version = d.newest_version AND j.state IN ` + lifecycle.UnendedStates + `
	  AND NOT EXISTS (SELECT FROM tasks t WHERE t.job = j.id AND t.kind = 'knowledge' AND t.state = 'failed')
	OFFSET 0)`

// requeuedJobState is the state of the job that the reindex $8 made for the newest version
// of a document d, or NULL.
const requeuedJobState = `(
	SELECT j.state FROM jobs j
	WHERE j.document = d.id AND j.version = d.newest_version AND j.reindex = $8
	OFFSET 0)`

// readDocumentStates returns the next documents after one, in order of id, as many as may be
// looked through at a time; none when there are no more.
func readDocumentStates(ctx context.Context, tx pgx.Tx, in reindexScope, after uuid.UUID) ([]lifecycle.RequeueCandidate, error) {
	space, err := holdSpace(ctx, tx, in.space)
	if err != nil {
		return nil, err
	}
	return queryAll(ctx, tx, scanDocumentState, `
		WITH page AS MATERIALIZED (
			SELECT *
			FROM (SELECT *, sum(coalesce(passages, 0)) OVER (ORDER BY id) - coalesce(passages, 0) AS before
			      FROM (SELECT d.id, d.newest_version, d.published_version,
			                   (SELECT p.passages FROM space_versions p
			                    WHERE p.document = d.id AND p.version = d.published_version AND p.space = $2) AS passages
			            FROM documents d
			            WHERE `+in.condition()+` AND d.id > $5
			            ORDER BY d.id
			            LIMIT $6) AS d) AS counted
			WHERE before < $7
		), there AS MATERIALIZED (
			SELECT page.id, count(m.hash) AS places, count(p.hash) AS passages
			FROM page
			JOIN manifest m ON m.document = page.id AND m.version = page.published_version AND m.space = $2
			LEFT JOIN `+passagesTable(space.Space)+` p ON p.space = $2 AND p.hash = m.hash
			WHERE page.passages IS NOT NULL
			GROUP BY page.id
		)
		SELECT d.id, d.newest_version, coalesce(d.published_version, 0), d.passages IS NOT NULL,
		       d.passages IS NOT NULL AND d.passages = coalesce(there.places, 0) AND d.passages = coalesce(there.passages, 0),
		       `+hasActiveJob+`,
		       EXISTS (SELECT FROM space_versions p
		               WHERE p.document = d.id AND p.version = d.published_version AND p.space = $2 AND p.left_out IS NOT NULL),
		       coalesce(`+requeuedJobState+`, '')
		FROM page d
		LEFT JOIN there ON there.id = d.id
		ORDER BY d.id`,
		in.collection, in.space, in.keyPrefix, in.documents, after, statePageDocuments, statePageEntries, in.reindex)
}

func scanDocumentState(row pgx.CollectableRow) (d lifecycle.RequeueCandidate, err error) {
	err = row.Scan(&d.DocumentID, &d.Newest, &d.Published, &d.HasSpaceVersion, &d.Complete, &d.HasActiveJob, &d.LeftOut, &d.RequeuedJob)
	return d, err
}

// VerifySpace looks whether the space may become live. It goes through the
// documents some at a time: so it may take as long as it takes.
func (s *Store) VerifySpace(ctx context.Context, work task.Work, sample int) (err error) {
	defer wrapError(&err, "verify space %d", work.Space.ID)
	in := reindexScope{collection: work.Space.CollectionID, space: work.Space.ID}
	var missing int64
	for after := uuid.Nil; ; {
		var page []lifecycle.RequeueCandidate
		var bad int64
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			if err := checkReindexLease(ctx, tx, work); err != nil {
				return err
			}
			if page, err = readDocumentStates(ctx, tx, in, after); err != nil {
				return err
			}
			bad, err = deleteIncompleteVersions(ctx, tx, work, page)
			return err
		}); err != nil {
			return err
		}
		if missing += bad; len(page) == 0 {
			break
		}
		after = page[len(page)-1].DocumentID
	}
	if missing > 0 {
		return lifecycle.DocumentsMissing(missing, work.Space.ID)
	}
	return s.checkSample(ctx, work.Space.ID, sample)
}

// deleteIncompleteVersions counts the documents whose live version is not whole. Of those that
// were said to be, it removes the space version, so that MissingVersions returns them
// again.
func deleteIncompleteVersions(ctx context.Context, tx pgx.Tx, work task.Work, page []lifecycle.RequeueCandidate) (bad int64, err error) {
	var damaged versionKeys
	for _, d := range page {
		if d.Published == 0 || d.Complete {
			continue
		}
		bad++
		if d.HasSpaceVersion {
			damaged.add(d.DocumentID, d.Published)
		}
	}
	if len(damaged.documents) == 0 {
		return bad, nil
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE spaces SET missed_publications = missed_publications + 1 WHERE id = $1`, work.Space.ID) // for a switch that is under way
	damaged.queueDeleteSpaceVersions(&batch, work.Space.ID)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, fmt.Errorf("displace damaged documents: %w", err)
	}
	return bad, nil
}
