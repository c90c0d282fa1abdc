package main

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"
)

// measureElementSizes prints the size of a vector in a table and in each kind of index, with the
// product's parameters, for several dimensions. docs/scale.md calculates with these sizes.
func measureElementSizes(r *report, of []*database) {
	const elements = 2000
	d := of[0]
	for _, dimensions := range []int{384, 768, 1536, 3072} {
		table := fmt.Sprintf("scale.elements_%d", dimensions)
		d.exec(fmt.Sprintf("CREATE TABLE %s (embedding public.halfvec(%d) NOT NULL)", table, dimensions))
		rows := make([][]any, elements)
		for i := range rows {
			rows[i] = []any{pgvector.NewHalfVector(randomVector(dimensions))}
		}
		_, err := d.owner.CopyFrom(d.ctx, pgx.Identifier{"scale", fmt.Sprintf("elements_%d", dimensions)}, []string{"embedding"}, pgx.CopyFromRows(rows))
		d.must(err)
		index := func(name, on string) float64 {
			d.exec(fmt.Sprintf("CREATE INDEX elements_%d_%s ON %s USING hnsw (%s) WITH (m = 16, ef_construction = 128)", dimensions, name, table, on))
			var bytes int64
			d.must(d.owner.QueryRow(d.ctx, "SELECT pg_relation_size($1::regclass)", fmt.Sprintf("scale.elements_%d_%s", dimensions, name)).Scan(&bytes))
			return float64(bytes) / elements
		}
		halfvec := index("halfvec", "embedding public.halfvec_cosine_ops")
		bits := index("bits", fmt.Sprintf("(public.binary_quantize(embedding)::bit(%d)) public.bit_hamming_ops", dimensions))
		r.note("%d dimensions: the vector %d bytes, its element of an HNSW index %s, of one on binary_quantize %s",
			dimensions, 8+2*dimensions, formatNumber(halfvec), formatNumber(bits))
	}
}
