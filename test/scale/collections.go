package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// collectionSeries are databases with many collections of one tenant, with one document in each.
// The product stores all rows.
var collectionSeries = series{
	name: "collections",
	sizes: func(o options) []int {
		sizes := []int{10, 100, 1000}
		if o.n >= 10_000 {
			sizes = append(sizes, 10_000)
		}
		return sizes
	},
	fill: fillCollections,
	figures: []figure{
		{"calls", measureCollectionCalls},
		{"memory", measureMemory},
	},
}

// dimensions is the length of vectors in figures that are not about vectors.
const dimensions = 16

// shortModel has vectors of that length. Programs without a provider use it too.
var shortModel = document.Model{Name: "local", Dimensions: dimensions}

const documentPassages = 16 // in a document that is ingested during a measurement

func fillCollections(d *database) {
	group, _ := errgroup.WithContext(d.ctx)
	group.SetLimit(connections)
	for i := range d.size {
		group.Go(func() error {
			d.ingest(d.ensureCollection(collectionName(i), shortModel), "first.md", "{}", passages(documentPassages, dimensions))
			return nil
		})
	}
	d.must(group.Wait())
	d.fixture.collection = func() string { return collectionName(rand.IntN(d.size)) }
}

func collectionName(i int) string { return fmt.Sprintf("collection-%d", i) }

func (d *database) ensureCollection(name string, model document.Model) vector.Collection {
	c, err := d.store.EnsureCollection(d.ctx, name, model, document.Chunking{Tokens: 400})
	d.must(err)
	return c
}

// collection returns the collection to which calls refer.
func (d *database) collection() vector.Collection {
	c, err := d.store.Collection(d.ctx, d.fixture.collection())
	d.must(err)
	return c
}

func measureCollectionCalls(r *report, of []*database) {
	r.time(of, ingestOne, knownHashes, searchOne, call{"create a collection", maxRatio, func(d *database, _ int) func() error {
		name := "new-" + uuid.NewString()
		return func() error {
			d.ensureCollection(name, shortModel)
			return nil
		}
	}})
}

const (
	maxRatio       = 1.5
	maxFilterRatio = 2
)

var ingestOne = ingestInto("ingest a document of 16 passages", func(d *database) string { return d.fixture.collection() })

func ingestInto(name string, collection func(d *database) string) call {
	return call{name, maxRatio, func(d *database, _ int) func() error {
		into, key, text := collection(d), uuid.NewString(), passages(documentPassages, dimensions)
		return func() error {
			d.ingest(d.ensureCollection(into, shortModel), key, "{}", text)
			return nil
		}
	}}
}

var knownHashes = call{"look up 16 known hashes, none known", maxRatio, func(d *database, _ int) func() error {
	c := d.collection()
	var hashes []document.ContentHash
	for _, p := range passages(documentPassages, dimensions) {
		hashes = append(hashes, p.Hash)
	}
	return func() error {
		_, err := d.store.ReusePassages(d.ctx, c.ActiveSpace, hashes)
		return err
	}
}}

var searchOne = call{"search one collection", maxRatio, func(d *database, _ int) func() error {
	return d.search(vector.Query{})
}}

// search returns a search of a collection with the filter in query.
func (d *database) search(query vector.Query) func() error {
	name := d.fixture.collection()
	query.Vector, query.Limit, query.Threshold = randomVector(dimensions), 10, -1
	return func() error {
		c, err := d.store.Collection(d.ctx, name)
		if err != nil {
			return err
		}
		query.Collection = c.Name
		hits, err := d.store.NearestPassages(d.ctx, c.ActiveSpace, query)
		if err == nil && len(hits) == 0 {
			err = fmt.Errorf("the search found nothing in %s", name)
		}
		return err
	}
}
