package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// documentSeries are databases with many documents of one tenant. 90 % are in the collection
// library, which is not searched; the others are in the collection shelf, whose vectors are indexed
// at every size.
var documentSeries = series{
	name:  "documents",
	sizes: func(o options) []int { return []int{o.n, 10 * o.n, 100 * o.n} },
	fill:  fillDocuments,
	figures: []figure{
		{"bytes", measureRowSizes},
		{"calls", measureDocumentCalls},
		{"lists", measureLists},
		{"filters", measureFilters},
		{"sweep", measureIdleSweep},
		{"locks", measureLocks},
		{"memory", measureMemory},
	},
}

const (
	plainCollection   = "library"
	indexedCollection = "shelf"

	smallPassages = 10 // in a document that is cloned
)

// fixture describes the content of a database.
type fixture struct {
	collection    func() string // returns the collection to which calls refer
	templates     []docTemplate
	jobsWait      bool        // jobs are waiting
	uploaded      uuid.UUID   // the job of the other tenant's latest upload
	middleCursors cursors     // in the middle of lists
	queryVectors  [][]float32 // queries of the vector search
}

func fillDocuments(d *database) {
	d.fixture.collection = func() string { return indexedCollection }
	d.loadVectors(randomVectors(dimensions), 50_000)
	few := d.smallest / 100 // the same number at every size
	shelved, failed := d.size/10, d.size/100
	tenth := shelved / 10
	plain := d.size - shelved - failed
	d.add(plainCollection, "plain/", `{"kind":"plain"}`, min(plain, ownTableDocuments))
	d.index(plainCollection, math.MaxInt32)
	d.addLastClones(max(0, plain-ownTableDocuments))
	d.addFailed(plainCollection, "failed/", failed)
	d.add(indexedCollection, "few/", `{"kind":"few"}`, few)
	d.add(indexedCollection, "tenth/", `{"kind":"tenth"}`, tenth)
	d.add(indexedCollection, "rest/", `{"kind":"rest"}`, shelved-few-tenth)
	d.exec("ANALYZE")
	d.index(indexedCollection, 1)
	for _, s := range d.fixture.templates {
		d.checkClones(s)
	}
}

// ownTableDocuments is a number of documents at which the passages of a collection certainly have
// their own table, as those of a large collection do.
const ownTableDocuments = 800

// index moves the passages of a collection to their own table if there are many, and builds their
// vector index if there are at least threshold.
func (d *database) index(name string, threshold int) {
	c, err := d.store.Collection(d.ctx, name)
	d.must(err)
	d.must(d.store.IndexSpace(d.ctx, c.ActiveSpace, threshold))
}

// addLastClones adds clones of the last template.
func (d *database) addLastClones(n int) {
	last := &d.fixture.templates[len(d.fixture.templates)-1]
	rest := *last
	rest.first, rest.count = last.first+last.count, n
	d.cloneDocuments(rest)
	last.count += n
}

// add adds documents that searches find: the product stores one, and SQL clones it.
func (d *database) add(collection, prefix, metadata string, n int) {
	made := d.ingest(d.ensureCollection(collection, shortModel), prefix+"made.md", metadata, passages(smallPassages, dimensions))
	d.addClones(docTemplate{original: made, prefix: prefix, passages: smallPassages, count: n})
}

// addFailed adds documents whose jobs have failed.
func (d *database) addFailed(collection, prefix string, n int) {
	made := d.upload(d.ensureCollection(collection, shortModel), prefix+"made.md", "{}")
	d.fail(made.Job)
	d.addClones(docTemplate{original: made, prefix: prefix, count: n})
}

func (d *database) addClones(s docTemplate) {
	for _, other := range d.fixture.templates {
		s.first += other.count
	}
	d.fixture.templates = append(d.fixture.templates, s)
	d.cloneDocuments(s)
}

func measureDocumentCalls(r *report, of []*database) {
	r.time(of,
		ingestInto("ingest a document of 16 passages", func(*database) string { return plainCollection }),
		ingestInto("the same, into a vector index", func(*database) string { return indexedCollection }),
		knownHashes, searchOne,
		call{"create a collection", maxRatio, func(d *database, _ int) func() error {
			name := "new-" + uuid.NewString()
			return func() error {
				d.ensureCollection(name, shortModel)
				return nil
			}
		}},
		call{"status poll: the job", maxRatio, func(d *database, i int) func() error {
			s := d.fixture.templates[0]
			id := d.cloneID(s.original.Job.ID, s.first+i*7919%s.count)
			return func() error {
				_, err := d.store.Job(d.ctx, id)
				return err
			}
		}},
		call{"read a document", maxRatio, func(d *database, i int) func() error {
			s := d.fixture.templates[0]
			id := d.cloneID(s.original.Document.ID, s.first+i*7919%s.count)
			return func() error {
				_, err := d.store.Document(d.ctx, id)
				return err
			}
		}},
		call{"passages of a document, first page", maxRatio, func(d *database, i int) func() error {
			s := d.fixture.templates[0]
			id := d.cloneID(s.original.Document.ID, s.first+i*7919%s.count)
			return func() error {
				_, err := d.store.Passages(d.ctx, id, document.Page{Limit: pageLimit})
				return err
			}
		}},
		call{"list the collections", maxRatio, func(d *database, _ int) func() error {
			return func() error {
				_, err := d.store.AllCollections(d.ctx)
				return err
			}
		}},
	)
}

const pageLimit = 10

// cursors point to pages in the middle of lists.
type cursors struct {
	documents, inCollection, jobs string
}

// measureLists measures pages of lists: the first page, and one in the middle.
func measureLists(r *report, of []*database) {
	for _, d := range of {
		all := document.DocumentFilter{}
		in := document.DocumentFilter{Collection: indexedCollection}
		d.fixture.middleCursors = cursors{
			documents: d.cursor(d.size/2, func(page document.Page) (int, string, error) {
				list, err := d.store.Documents(d.ctx, all, page)
				return len(list.Items), list.NextCursor, err
			}),
			inCollection: d.cursor(d.size/20, func(page document.Page) (int, string, error) {
				list, err := d.store.Documents(d.ctx, in, page)
				return len(list.Items), list.NextCursor, err
			}),
			jobs: d.cursor(d.size/2, func(page document.Page) (int, string, error) {
				list, err := d.store.Jobs(d.ctx, document.JobFilter{}, page)
				return len(list.Items), list.NextCursor, err
			}),
		}
	}
	documents := func(name string, bound float64, filter document.DocumentFilter, cursor func(cursors) string) call {
		return call{"documents" + name, bound, func(d *database, _ int) func() error {
			return func() error {
				list, err := d.store.Documents(d.ctx, filter, document.Page{Limit: pageLimit, Cursor: cursor(d.fixture.middleCursors)})
				return fullPage(len(list.Items), err)
			}
		}}
	}
	jobs := func(name string, bound float64, filter document.JobFilter, cursor func(cursors) string) call {
		return call{"jobs" + name, bound, func(d *database, _ int) func() error {
			return func() error {
				list, err := d.store.Jobs(d.ctx, filter, document.Page{Limit: pageLimit, Cursor: cursor(d.fixture.middleCursors)})
				return fullPage(len(list.Items), err)
			}
		}}
	}
	first := func(cursors) string { return "" }
	r.time(of,
		documents(", first page", maxRatio, document.DocumentFilter{}, first),
		documents(", page in the middle", maxRatio, document.DocumentFilter{}, func(c cursors) string { return c.documents }),
		documents(" of a collection, first page", maxRatio, document.DocumentFilter{Collection: indexedCollection}, first),
		documents(" of a collection, in the middle", maxRatio, document.DocumentFilter{Collection: indexedCollection}, func(c cursors) string { return c.inCollection }),
		documents(" that failed", maxRatio, document.DocumentFilter{State: document.DocumentFailed}, first),
		documents(" by prefix", maxRatio, document.DocumentFilter{KeyPrefix: "few/"}, first),
		documents(" by prefix and collection", maxRatio, document.DocumentFilter{KeyPrefix: "few/", Collection: indexedCollection}, first),
		jobs(", first page", maxRatio, document.JobFilter{}, first),
		jobs(", page in the middle", maxRatio, document.JobFilter{}, func(c cursors) string { return c.jobs }),
		jobs(" of a collection", maxRatio, document.JobFilter{Collection: indexedCollection}, first),
		jobs(" that failed", maxRatio, document.JobFilter{State: document.JobFailed}, first),
	)
}

func fullPage(items int, err error) error {
	if err == nil && items != pageLimit {
		err = fmt.Errorf("a page of %d items, want %d", items, pageLimit)
	}
	return err
}

// cursor reads n items of a list and returns the cursor after them.
func (d *database) cursor(n int, list func(page document.Page) (items int, next string, err error)) string {
	cursor := ""
	for n > 0 {
		items, next, err := list(document.Page{Limit: min(n, 1000), Cursor: cursor})
		d.must(err)
		if next == "" {
			d.Fatalf("%s: the list ends %d items too early", formatCount(d.size), n)
		}
		cursor, n = next, n-items
	}
	return cursor
}

// measureFilters measures filtered searches of the collection shelf. "few" is the same number of
// documents at every size; "a tenth" is 10 % of the collection.
func measureFilters(r *report, of []*database) {
	search := func(name string, query vector.Query) call {
		return call{name, maxFilterRatio, func(d *database, _ int) func() error { return d.search(query) }}
	}
	r.time(of,
		search("search under a prefix of few documents", vector.Query{KeyPrefix: "few/"}),
		search("search under metadata of few documents", vector.Query{Metadata: json.RawMessage(`{"kind":"few"}`)}),
		search("search under a prefix of a tenth", vector.Query{KeyPrefix: "tenth/"}),
		search("search under metadata of a tenth", vector.Query{Metadata: json.RawMessage(`{"kind":"tenth"}`)}),
	)
}

// measureRowSizes prints the disk space per row of each table, and of its indexes.
func measureRowSizes(r *report, of []*database) {
	for _, table := range of[0].queryTexts(`
		SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND reltuples >= $1
		ORDER BY relname`, of[0].smallest/20) {
		sizes := func(function string) []float64 {
			return measureEach(of, func(d *database) (bytes float64) {
				d.must(d.owner.QueryRow(d.ctx, `
					SELECT coalesce(max(`+function+`(oid) / greatest(reltuples, 1)), 0) FROM pg_class
					WHERE relnamespace = 'public'::regnamespace AND relname = $1`, table).Scan(&bytes))
				return bytes
			})
		}
		if slices.Max(sizes("pg_table_size")) > 0 {
			r.printRatio(table+": row", "bytes", sizes("pg_table_size"), 0)
			r.printRatio(table+": its indexes", "bytes", sizes("pg_indexes_size"), 0)
		}
	}
}
