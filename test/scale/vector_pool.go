package main

import (
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"
)

// loadVectors loads n vectors into a separate schema. The vectors of clones are mixtures of these.
func (d *database) loadVectors(vectors func(yield func([]float32) bool), n int) {
	d.exec("CREATE SCHEMA IF NOT EXISTS scale")
	d.exec("CREATE TABLE scale.vectors (id bigint PRIMARY KEY, embedding public.halfvec NOT NULL)")
	i := 0
	var rows [][]any
	flush := func() {
		_, err := d.owner.CopyFrom(d.ctx, pgx.Identifier{"scale", "vectors"}, []string{"id", "embedding"}, pgx.CopyFromRows(rows))
		d.must(err)
		rows = rows[:0]
	}
	for vector := range vectors {
		if i == n {
			break
		}
		if rows = append(rows, []any{int64(i), pgvector.NewHalfVector(vector)}); len(rows) == 10_000 {
			flush()
		}
		i++
	}
	flush()
	d.exec("ANALYZE scale.vectors")
	d.exec(`CREATE FUNCTION scale.vector_count() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT ` + strconv.Itoa(n) + `::bigint'`)
}

// randomVectors yields vectors in random directions, without end.
func randomVectors(dimensions int) func(yield func([]float32) bool) {
	return func(yield func([]float32) bool) {
		for yield(randomVector(dimensions)) {
		}
	}
}

// mixture generates vectors like embeddings: around many centres, mostly in a few directions of a
// space with many dimensions.
type mixture struct {
	random     *rand.Rand
	centres    [][]float32 // in latent coordinates
	directions [][]float32 // direction of each latent coordinate
	dimensions int
}

const (
	latentDimensions = 32
	centreCount      = 1000
)

func newMixture(dimensions int) *mixture {
	m := &mixture{random: rand.New(rand.NewPCG(1, 2)), dimensions: dimensions}
	for range centreCount {
		m.centres = append(m.centres, m.normalVector(latentDimensions))
	}
	for range latentDimensions {
		m.directions = append(m.directions, m.normalVector(dimensions))
	}
	return m
}

func (m *mixture) normalVector(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(m.random.NormFloat64())
	}
	return v
}

// vectors yields vectors without end.
func (m *mixture) vectors(yield func([]float32) bool) {
	const spread, noise = 0.6, 0.3
	for {
		v := make([]float32, m.dimensions)
		centre := m.centres[m.random.IntN(len(m.centres))]
		for i, direction := range m.directions {
			z := centre[i] + spread*float32(m.random.NormFloat64())
			for k, x := range direction {
				v[k] += z * x
			}
		}
		var length float64
		for k := range v {
			v[k] += noise * float32(m.random.NormFloat64())
			length += float64(v[k]) * float64(v[k])
		}
		for k := range v {
			v[k] /= float32(math.Sqrt(length))
		}
		if !yield(v) {
			return
		}
	}
}
