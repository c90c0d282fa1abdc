package postgres

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// maxFilterFields is how many rows of document_fields are asked for of each
	// document; the metadata itself decides over what else a filter says.
	maxFilterFields = 8

	// filterCountLimit is up to where it is counted how many documents match a part of a
	// filter.
	filterCountLimit = 1000
)

// searchFilter is which documents a search looks in: those of a collection, with a key
// prefix, and with metadata that contains a JSON object.
type searchFilter struct {
	args            pgx.NamedArgs
	conditions      []string // on a document d
	candidates      string   // where to look for d: FROM what has the rarest of them
	rarestCondition int      // the condition that all candidates meet, -1 for none
}

// collectionFilter leaves out no document of the collection.
func collectionFilter(space vector.Space, query vector.Query) searchFilter {
	return searchFilter{
		args: pgx.NamedArgs{
			"collection": space.CollectionID, "prefix": query.KeyPrefix, "after_prefix": document.PrefixUpperBound(query.KeyPrefix),
			"metadata": query.Metadata, "rarest_of": filterCountLimit,
		},
		candidates:      "documents d",
		rarestCondition: -1,
	}
}

// queueReadFilter returns the filter of a query, which is complete when the batch is
// done. What contains metadata has all its rows of document_fields, and begins to be
// looked for by the rarest: that of a row or of the prefix.
func queueReadFilter(batch *pgx.Batch, space vector.Space, query vector.Query) *searchFilter {
	in := collectionFilter(space, query)
	ofPrefix := "@rarest_of::bigint"
	if query.KeyPrefix != "" {
		in.conditions = append(in.conditions, hasPrefix)
		ofPrefix = `(SELECT count(*) FROM (SELECT FROM documents d WHERE d.collection = @collection AND d.deleted_at IS NULL AND ` + hasPrefix + ` LIMIT @rarest_of) AS d)`
	}
	if len(query.Metadata) == 0 {
		return &in
	}
	batch.Queue(`
		SELECT f.field, f.value,
		       (SELECT count(*) FROM (SELECT FROM document_fields d
		                              WHERE d.collection = @collection AND d.field = f.field AND d.value = f.value
		                              LIMIT @rarest_of) AS d) AS of_field,
		       `+ofPrefix+`
		FROM metadata_fields(@metadata::jsonb) AS f
		ORDER BY of_field, f.field, f.value`, in.args).Query(func(rows pgx.Rows) error { return in.addFields(rows, query.Metadata) })
	return &in
}

// addFields adds the conditions of metadata, whose rows are in the order of how many
// documents have them.
func (in *searchFilter) addFields(rows pgx.Rows, metadata json.RawMessage) error {
	var fields, values []string
	var field, value string
	var ofField, least int64
	exact := fieldsAreExact(metadata)
	if _, err := pgx.ForEachRow(rows, []any{&field, &value, &ofField, &least}, func() error {
		if len(fields) == maxFilterFields {
			exact = false
			return nil
		}
		if fields = append(fields, field); len(fields) == 1 && ofField <= least {
			in.candidates, in.rarestCondition = candidatesByField, len(in.conditions)
		}
		values = append(values, value)
		in.conditions = append(in.conditions, fmt.Sprintf(hasField, len(fields)))
		return nil
	}); err != nil {
		return err
	}
	in.args["fields"], in.args["values"] = fields, values
	if !exact {
		in.conditions = append(in.conditions, hasMetadata)
	}
	return nil
}

const (
	hasPrefix = `d.state = ANY ('{pending,ready,failed}') AND d.key COLLATE "C" >= @prefix AND d.key COLLATE "C" < @after_prefix`

	hasField = `EXISTS (
		SELECT FROM document_fields f
		WHERE f.collection = @collection AND f.field = (@fields::text[])[%[1]d] AND f.value = (@values::text[])[%[1]d] AND f.document = d.id
		OFFSET 0)`

	hasMetadata = `EXISTS (
		SELECT FROM versions v
		WHERE v.document = d.id AND v.version = d.published_version AND v.metadata @> @metadata::jsonb
		OFFSET 0)`

	candidatesByField = `(
		SELECT document FROM document_fields
		WHERE collection = @collection AND field = (@fields::text[])[1] AND value = (@values::text[])[1]
		OFFSET 0) AS f
		CROSS JOIN LATERAL (SELECT * FROM documents WHERE id = f.document OFFSET 0) AS d`
)

// fieldsAreExact reports whether rows of document_fields say all that metadata says: it
// has nothing in objects, and in arrays nothing but scalars.
func fieldsAreExact(metadata json.RawMessage) bool {
	var fields map[string]any
	if err := json.Unmarshal(metadata, &fields); err != nil {
		return false
	}
	for _, value := range fields {
		switch value := value.(type) {
		case map[string]any:
			if len(value) > 0 {
				return false
			}
		case []any:
			for _, element := range value {
				switch element.(type) {
				case map[string]any, []any:
					return false
				}
			}
		}
	}
	return true
}

// narrows reports whether the filter may leave out documents of the collection.
func (in searchFilter) narrows() bool { return len(in.conditions) > 0 }

// argsWith returns the arguments of a statement that has others beside those of the
// filter.
func (in searchFilter) argsWith(others pgx.NamedArgs) pgx.NamedArgs {
	args := maps.Clone(in.args)
	maps.Copy(args, others)
	return args
}

// substitute fills the filter into a statement: $candidates, and what they have yet to
// meet ($rest), or all that a document d has to meet ($filter).
func (in searchFilter) substitute(statement string) string {
	const inCollection = "d.collection = @collection AND d.deleted_at IS NULL"
	all, rest := inCollection, inCollection
	for i, condition := range in.conditions {
		all += " AND " + condition
		if i != in.rarestCondition {
			rest += " AND " + condition
		}
	}
	return strings.NewReplacer("$candidates", in.candidates, "$rest", rest, "$filter", all).Replace(statement)
}
