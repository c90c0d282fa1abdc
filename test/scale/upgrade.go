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

// upgradeSeries are databases with many documents and the tables of an earlier commit, while
// programs of that commit are running.
var upgradeSeries = series{
	name:    "upgrade",
	sizes:   func(o options) []int { return []int{o.n, 10 * o.n, 100 * o.n} },
	old:     true,
	fill:    fillOld,
	figures: []figure{{"migrate", measureMigration}},
}

const (
	// baselineCommit is the last commit that searched the tables for garbage.
	baselineCommit = "69ab83c"

	maxLockHold = 1000 // ms that a migration may block writers
)

// fillOld makes the programs of the commit ingest a document, and clones it.
func fillOld(d *database) {
	d.fixture.collection = func() string { return plainCollection }
	d.loadVectors(randomVectors(dimensions), 50_000)
	programs := d.startPrograms()
	made := d.uploadText(programs[0].Client(program.APIKey), "plain/made.md", 1)
	for _, p := range programs {
		p.Stop()
	}
	var passages int
	d.must(d.owner.QueryRow(d.ctx, "SELECT count(*) FROM public.manifest WHERE document = $1", made.Document.ID).Scan(&passages))
	d.addClones(docTemplate{original: made, prefix: "plain/", passages: passages, count: d.size})
	d.exec("ANALYZE")
}

// startPrograms starts the programs of the installation, the API server first.
func (d *database) startPrograms() []*program.Program {
	return []*program.Program{d.installation.Start("api"), d.installation.Start("worker-knowledge"), d.installation.Start("worker-summary")}
}

// uploadText uploads a document with the given number of passages and waits until its job has
// succeeded.
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

// measureMigration migrates the tables while the programs of the earlier commit run, and compares
// what can be read before and after. If those programs cannot run during the migration, they are
// stopped first, and only the migration itself is measured.
func measureMigration(r *report, of []*database) {
	var seconds, held, waited, requestTimes []float64
	for _, d := range of {
		d.installation.AppURL += "&application_name=" + trafficName
		programs := d.startPrograms()
		before := d.readSample(programs[0].Client(program.APIKey))
		requests := d.newRequests()
		if d.namesAreRenamed() {
			stopPrograms(r, programs)
			r.note("%s: the earlier programs cannot run during the migration, and were stopped", formatCount(d.size))
			programs = nil
		} else {
			requests.start(d, programs[0])
		}
		waits := d.watchWaits(requests.ctx)
		locks := d.watchLocks(requests.ctx)

		begin := time.Now()
		migration := d.installation.StartUpgrade()
		select {
		case <-migration.Done():
		case <-d.ctx.Done():
			d.Fatal(d.ctx.Err())
		}
		if status := migration.Wait(); status != 0 {
			d.Fatalf("%s: gristmill migrate exited with %d:\n%s", formatCount(d.size), status, migration.Output())
		}
		seconds = append(seconds, time.Since(begin).Seconds())

		requests.stopAndWait()
		waits.done.Wait()
		locks.done.Wait()
		held, waited, requestTimes = append(held, locks.longestMillis()), append(waited, waits.longestMillis()), append(requestTimes, requests.longest.Seconds()*1000)
		r.note("%s: %d requests during the migration; locks that block writers, held longest: %s", formatCount(d.size), requests.made, locks)
		stopPrograms(r, programs)
		d.compareAfter(before)
	}
	r.printRatio("gristmill migrate, programs running", "s", seconds, 0)
	r.printMax("longest hold of a lock that blocks writers", "ms", held, maxLockHold)
	r.printMax("longest wait of a statement for a lock", "ms", waited, maxLockHold)
	r.printMax("longest request", "ms", requestTimes, 0)
}

// namesAreRenamed reports whether the missing migrations rename columns that the earlier programs
// use (migration 35).
func (d *database) namesAreRenamed() bool {
	return d.installation.QueryInt(`
		SELECT count(*) FROM pg_catalog.pg_attribute
		WHERE attrelid = 'public.documents'::regclass AND attname = 'live_version' AND NOT attisdropped`) > 0
}

// stopPrograms stops programs, and prints the warnings that they have logged.
func stopPrograms(r *report, programs []*program.Program) {
	for _, p := range programs {
		p.Stop()
		if warnings := p.LogWarnings(); !strings.Contains(warnings, "logged 0 warnings") {
			r.note("%s", warnings)
		}
	}
}

// apiSample holds the API's answers for some documents, and the number of manifest entries.
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
	s := apiSample{answers: map[uuid.UUID]apiAnswers{}, rows: d.installation.QueryInt("SELECT count(*) FROM public.manifest")}
	made := d.fixture.templates[0]
	for i := range 20 {
		id := d.nthCloneID(made, i)
		s.answers[id] = d.readDocument(c, id)
	}
	return s
}

// nthCloneID returns the id of one of the template's clones.
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

// compareAfter fails unless the programs of this checkout give the same answers as the earlier
// ones, find documents by their metadata, and ingest another document.
func (d *database) compareAfter(before apiSample) {
	programs := d.startPrograms()
	c := programs[0].Client(program.APIKey)
	for id, want := range before.answers {
		if diff := cmp.Diff(want, d.readDocument(c, id), cmp.AllowUnexported(apiAnswers{})); diff != "" {
			d.Fatalf("%s: document %s changed (-before +after):\n%s", formatCount(d.size), id, diff)
		}
	}
	if rows := d.installation.QueryInt("SELECT count(*) FROM public.manifest"); rows < before.rows {
		d.Fatalf("%s: %d manifest entries, want at least the earlier %d", formatCount(d.size), rows, before.rows)
	}
	result, err := c.Search(d.ctx, document.SearchRequest{Collection: plainCollection, Query: "How many sacks?", KeyPrefix: "plain/made", Metadata: []byte(`{"kind":"plain"}`)})
	d.must(err)
	if len(result.Hits) == 0 {
		d.Fatalf("%s: a search with metadata finds nothing", formatCount(d.size))
	}
	d.uploadText(c, "after.md", 1)
	for _, p := range programs {
		p.Stop()
	}
}

// requests are uploads and reads that are repeated until stopAndWait.
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

// repeat calls do repeatedly, and records the longest duration.
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
