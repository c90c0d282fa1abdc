package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// upgradeSeries are databases with many documents that have the tables of an
// earlier commit, and programs of that commit at work.
var upgradeSeries = series{
	name:    "upgrade",
	sizes:   func(o options) []int { return []int{o.n, 10 * o.n, 100 * o.n} },
	old:     true,
	fill:    fillOld,
	figures: []figure{{"migrate", measureMigration}},
}

const (
	// baselineCommit is the last commit whose tables were searched for what is garbage.
	baselineCommit = "69ab83c"

	maxLockHold = 1000 // ms; of a migration, while others cannot write
)

// fillOld has the programs of the commit take in a document, and makes more of it.
func fillOld(d *database) {
	d.fixture.collection = func() string { return plainCollection }
	d.loadVectors(randomVectors(dimensions), 50_000)
	programs := d.startPrograms()
	made := d.uploadText(programs[0].Client(program.APIKey), "plain/made.md", 1)
	for _, p := range programs {
		p.Stop()
	}
	var held int
	d.must(d.owner.QueryRow(d.ctx, "SELECT count(*) FROM public.manifest WHERE document = $1", made.Document.ID).Scan(&held))
	d.addClones(docTemplate{original: made, prefix: "plain/", passages: held, count: d.size})
	d.exec("ANALYZE")
}

// startPrograms starts the programs of the site: the api first.
func (d *database) startPrograms() []*program.Program {
	return []*program.Program{d.site.Start("api"), d.site.Start("worker-knowledge"), d.site.Start("worker-summary")}
}

// uploadText uploads a document of some passages and waits until it is taken in.
func (d *database) uploadText(c *client.Client, key string, sections int) document.Accepted {
	var text strings.Builder
	for i := range sections {
		fmt.Fprintf(&text, "# Yield of lot %s\n\nIt gave %d sacks.\n\n", uuid.NewString(), i)
	}
	accepted, err := c.Upload(d.ctx, document.UploadRequest{
		Collection: d.fixture.collection(), Key: key, Metadata: []byte(`{"kind":"plain"}`), MediaType: "text/markdown",
	}, strings.NewReader(text.String()))
	d.must(err)
	job, err := c.AwaitJob(d.ctx, accepted.Job.ID, 20*time.Millisecond, func(document.Job) {})
	d.must(err)
	if job.State != document.JobSucceeded {
		d.Fatalf("%s: the job of an upload is %s: %s", formatCount(d.size), job.State, job.Error)
	}
	return accepted
}

// measureMigration brings the tables up to date while the programs of before are at work,
// and compares what can be read before and after. Programs that a migration does not let
// go on beside it are stopped first: then only the migration itself is measured.
func measureMigration(r *report, of []*database) {
	var seconds, held, waited, asked []float64
	for _, d := range of {
		d.site.AppURL += "&application_name=" + trafficName
		programs := d.startPrograms()
		before := d.readSample(programs[0].Client(program.APIKey))
		requests := d.newRequests()
		if d.namesAreRenamed() {
			stopPrograms(r, programs)
			r.note("%s: the programs of before cannot go on beside the migration, and were stopped", formatCount(d.size))
			programs = nil
		} else {
			requests.start(d, programs[0])
		}
		waits := d.watchWaits(requests.ctx)
		locks := d.watchLocks(requests.ctx)

		begin := time.Now()
		migration := d.site.StartUpgrade()
		select {
		case <-migration.Done():
		case <-d.ctx.Done():
			d.Fatal(d.ctx.Err())
		}
		if status := migration.Wait(); status != 0 {
			d.Fatalf("%s: gristmill migrate ended with %d:\n%s", formatCount(d.size), status, migration.Output())
		}
		seconds = append(seconds, time.Since(begin).Seconds())

		requests.stopAndWait()
		waits.done.Wait()
		locks.done.Wait()
		held, waited, asked = append(held, locks.longestMillis()), append(waited, waits.longestMillis()), append(asked, requests.longest.Seconds()*1000)
		r.note("%s: %d requests meanwhile; longest held of what keeps writers out: %s", formatCount(d.size), requests.made, locks)
		stopPrograms(r, programs)
		d.compareAfter(before)
	}
	r.printRatio("gristmill migrate, programs at work", "s", seconds, 0)
	r.printMax("longest hold of a lock that keeps writers out", "ms", held, maxLockHold)
	r.printMax("longest wait of a statement for a lock", "ms", waited, maxLockHold)
	r.printMax("longest request", "ms", asked, 0)
}

// namesAreRenamed is whether a migration that is missing renames columns that the
// programs of before name (migration 35).
func (d *database) namesAreRenamed() bool {
	return d.site.QueryInt(`
		SELECT count(*) FROM pg_catalog.pg_attribute
		WHERE attrelid = 'public.documents'::regclass AND attname = 'live_version' AND NOT attisdropped`) > 0
}

// stopPrograms stops programs, and notes what they have complained of.
func stopPrograms(r *report, programs []*program.Program) {
	for _, p := range programs {
		p.Stop()
		if complaints := p.LogWarnings(); !strings.Contains(complaints, "complained 0 times") {
			r.note("%s", complaints)
		}
	}
}

// apiSample is what the api answers for some documents, and how many rows there are.
type apiSample struct {
	answers map[uuid.UUID]apiAnswers
	rows    int
}

type apiAnswers struct {
	document document.Document
	passages document.List[document.Passage]
	summary  document.Summary
}

func (d *database) readSample(c *client.Client) apiSample {
	s := apiSample{answers: map[uuid.UUID]apiAnswers{}, rows: d.site.QueryInt("SELECT count(*) FROM public.manifest")}
	made := d.fixture.templates[0]
	for i := range 20 {
		id := d.nthCloneID(made, i)
		s.answers[id] = d.readDocument(c, id)
	}
	return s
}

// nthCloneID returns the id of one of the documents of a shape.
func (d *database) nthCloneID(s docTemplate, i int) uuid.UUID {
	return d.cloneID(s.original.Document.ID, s.first+i*7919%s.count)
}

func (d *database) readDocument(c *client.Client, id uuid.UUID) (a apiAnswers) {
	var err error
	a.document, err = c.Document(d.ctx, id)
	d.must(err)
	a.passages, err = c.Passages(d.ctx, id, document.Page{Limit: 100})
	d.must(err)
	a.summary, err = c.Summary(d.ctx, id)
	d.must(err)
	return a
}

// compareAfter fails unless the programs of this checkout answer as those of
// before did, find documents by their metadata, and take in another.
func (d *database) compareAfter(before apiSample) {
	programs := d.startPrograms()
	c := programs[0].Client(program.APIKey)
	for id, want := range before.answers {
		if diff := cmp.Diff(want, d.readDocument(c, id), cmp.AllowUnexported(apiAnswers{})); diff != "" {
			d.Fatalf("%s: document %s has changed (-before +after):\n%s", formatCount(d.size), id, diff)
		}
	}
	if rows := d.site.QueryInt("SELECT count(*) FROM public.manifest"); rows < before.rows {
		d.Fatalf("%s: %d places of passages, want at least the %d of before", formatCount(d.size), rows, before.rows)
	}
	result, err := c.Search(d.ctx, document.SearchRequest{Collection: plainCollection, Query: "How many sacks?", KeyPrefix: "plain/made", Metadata: []byte(`{"kind":"plain"}`)})
	d.must(err)
	if len(result.Hits) == 0 {
		d.Fatalf("%s: a search under metadata finds nothing", formatCount(d.size))
	}
	d.uploadText(c, "after.md", 1)
	for _, p := range programs {
		p.Stop()
	}
}

// requests are uploads and reads, which go on until it is ended.
type requests struct {
	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	made    int
	longest time.Duration
}

func (d *database) newRequests() *requests {
	r := &requests{}
	r.ctx, r.stop = context.WithCancel(d.ctx)
	return r
}

func (r *requests) start(d *database, api *program.Program) {
	c, made := api.Client(program.APIKey), d.fixture.templates[0]
	r.repeat(func(i int) { d.uploadText(c, fmt.Sprintf("during/%d.md", i), 3) })
	r.repeat(func(i int) {
		id := d.nthCloneID(made, i)
		_, err := c.Document(d.ctx, id)
		d.must(err)
		_, err = c.Passages(d.ctx, id, document.Page{Limit: pageLimit})
		d.must(err)
	})
}

// repeat does something again and again, and notes how long it takes at most.
func (r *requests) repeat(do func(i int)) {
	r.done.Go(func() {
		for i := 0; r.ctx.Err() == nil; i++ {
			begin := time.Now()
			do(i)
			took := time.Since(begin)
			r.mu.Lock()
			r.made, r.longest = r.made+1, max(r.longest, took)
			r.mu.Unlock()
		}
	})
}

func (r *requests) stopAndWait() {
	r.stop()
	r.done.Wait()
}
