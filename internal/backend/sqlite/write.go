package sqlite

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ReusePassages returns those of the hashes whose passages are in the space, with how
// many bytes of what is embedded their vectors are of.
func (s *Store) ReusePassages(ctx context.Context, space vector.Space, hashes []document.ContentHash) (known map[document.ContentHash]int, err error) {
	defer wrapError(&err, "look up %d passages in space %d", len(hashes), space.ID)
	wanted, err := jsonHashes(hashes)
	if err != nil {
		return nil, err
	}
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		if err := copyPassages(ctx, tx, space, wanted); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `
			SELECT p.hash, coalesce(p.embedded_bytes, 0)
			FROM json_each(?3) wanted
			CROSS JOIN passages p ON p.tenant = ?1 AND p.space = ?2 AND p.hash = unhex(wanted.value)`, tx.tenant, space.ID, wanted)
		known = make(map[document.ContentHash]int, len(hashes))
		_, err = collectRows(rows, err, func(row scanner) (hash []byte, err error) {
			var bytes int
			if err := row.Scan(&hash, &bytes); err != nil {
				return nil, err
			}
			known[document.ContentHash(hash)] = bytes // the tables see to its length
			return hash, nil
		})
		return err
	})
	return known, err
}

// copyPassages copies passages into the space from others of the same model, and
// lists them: nothing places them yet.
func copyPassages(ctx context.Context, tx transaction, space vector.Space, wanted string) error {
	rows, err := tx.QueryContext(ctx, `
		INSERT INTO passages (tenant, space, hash, created_at, tokens, embedding, title, heading_path, context, content, omitted, embedded_bytes)
		SELECT p.tenant, ?2, p.hash, ?6, p.tokens, p.embedding, p.title, p.heading_path, p.context, p.content, p.omitted, p.embedded_bytes
		FROM json_each(?3) wanted
		CROSS JOIN passages p ON p.id = (
			SELECT of.id FROM passages of
			CROSS JOIN spaces s ON s.id = of.space AND s.id <> ?2 AND s.model = ?4 AND s.dimensions = ?5
			WHERE of.tenant = ?1 AND of.hash = unhex(wanted.value)
			LIMIT 1)
		WHERE true
		ON CONFLICT (tenant, space, hash) DO NOTHING
		RETURNING hash`,
		tx.tenant, space.ID, wanted, space.Model.Name, space.Model.Dimensions, tx.now)
	copied, err := collectRows(rows, err, scanHash)
	if err != nil {
		return err
	}
	return insertGarbagePassages(ctx, tx, space.ID, copied)
}

// WriteBatch stores new passages, places and progress.
func (s *Store) WriteBatch(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress) (err error) {
	defer wrapError(&err, "write %d new passages and %d places of %s", len(batch.New), len(batch.Entries), work)
	return s.inWriteTransaction(ctx, func(tx transaction) error { return writeBatch(ctx, tx, work, batch, progress) })
}

func writeBatch(ctx context.Context, tx transaction, work task.Work, batch vector.Batch, progress document.KnowledgeProgress) error {
	if err := checkLease(ctx, tx, work); err != nil {
		return err
	}
	if err := insertPassages(ctx, tx, work.Space, batch.New); err != nil {
		return err
	}
	if err := insertManifest(ctx, tx, versionKeyOf(work), work.Space, batch.Entries); err != nil {
		return err
	}
	return saveProgress(ctx, tx, work, progress)
}

func insertPassages(ctx context.Context, tx transaction, space vector.Space, passages []vector.EmbeddedPassage) error {
	insert, err := tx.PrepareContext(ctx, `
		INSERT INTO passages (tenant, space, hash, created_at, tokens, embedding, title, heading_path, context, content, omitted, embedded_bytes)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, nullif(?12, 0))
		ON CONFLICT (tenant, space, hash) DO NOTHING`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, p := range passages {
		vector, err := encodeVector(p.Vector, space.Model)
		if err != nil {
			return err
		}
		headings, err := json.Marshal(append([]string{}, p.HeadingPath...))
		if err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, tx.tenant, space.ID, p.Hash[:], tx.now, p.Tokens,
			vector, p.Title, string(headings), p.Context, p.Content, omittedRanges(p.Omitted), p.EmbeddedBytes); err != nil {
			return err
		}
	}
	return nil
}

// versionKey names a version of a document.
type versionKey struct {
	document uuid.UUID
	number   int
}

func versionKeyOf(work task.Work) versionKey { return versionKey{work.DocumentID, work.Version} }

func scanID(row scanner) (id uuid.UUID, err error) { return id, row.Scan(&id) }

func scanVersionKey(row scanner) (v versionKey, err error) {
	return v, row.Scan(&v.document, &v.number)
}

func insertManifest(ctx context.Context, tx transaction, of versionKey, space vector.Space, places []vector.ManifestEntry) error {
	insert, err := tx.PrepareContext(ctx, `
		INSERT INTO manifest (tenant, document, version, space, ordinal, passage, start_byte, end_byte)
		SELECT ?1, ?2, ?3, ?4, ?5, id, ?6, ?7
		FROM passages WHERE tenant = ?1 AND space = ?4 AND hash = ?8
		ON CONFLICT (tenant, document, version, space, ordinal) DO UPDATE SET passage = excluded.passage`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, place := range places {
		result, err := insert.ExecContext(ctx, tx.tenant, of.document, of.number, space.ID, place.Ordinal,
			place.Start, place.End, place.Hash[:])
		if err != nil {
			return err
		}
		if placed, err := result.RowsAffected(); err != nil {
			return err
		} else if placed == 0 {
			return fault.New(fault.Conflict, "passage %x of place %d is not in space %d any more",
				place.Hash, place.Ordinal, space.ID)
		}
	}
	return nil
}

// saveProgress keeps what a task has done so far.
func saveProgress(ctx context.Context, tx transaction, work task.Work, progress any) error {
	text, err := json.Marshal(progress)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE tasks SET progress = ?5
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
		tx.tenant, work.DocumentID, work.Version, work.Kind, string(text))
	return err
}

// encodeVector returns the vector as vec_distance_cosine reads it.
func encodeVector(vector []float32, model document.Model) ([]byte, error) {
	if len(vector) != model.Dimensions {
		return nil, fmt.Errorf("vector of %d dimensions where model %s has %d", len(vector), model.Name, model.Dimensions)
	}
	blob := make([]byte, 0, 4*len(vector))
	for _, v := range vector {
		blob = binary.LittleEndian.AppendUint32(blob, math.Float32bits(v))
	}
	return blob, nil
}

// jsonHashes returns the hashes as json_each reads them. Tables follow it in a
// CROSS JOIN, which SQLite takes in that order: one look-up for each hash.
func jsonHashes(hashes []document.ContentHash) (string, error) {
	list := make([]string, len(hashes))
	for i, hash := range hashes {
		list[i] = hex.EncodeToString(hash[:])
	}
	text, err := json.Marshal(list)
	return string(text), err
}

func scanHash(row scanner) (document.ContentHash, error) {
	var hash []byte
	if err := row.Scan(&hash); err != nil {
		return document.ContentHash{}, err
	}
	return document.ContentHash(hash), nil // the tables see to its length
}
