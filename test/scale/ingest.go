package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// This file makes the calls that the API server and the workers make to the store for one document,
// with vectors that no model has computed.

const (
	lease = time.Hour

	// dispatchWindow is the maximum number of tasks of a tenant in the queue.
	dispatchWindow = 24
)

var dispatchWindows = map[task.Kind]int{task.KindKnowledge: dispatchWindow, task.KindSummary: dispatchWindow, task.KindReindex: 1}

// upload accepts a document.
func (d *database) upload(c vector.Collection, key string, metadata string) document.Accepted {
	object := uuid.NewString()
	hash := document.HashText(object)
	d.must(d.store.BeginUpload(d.ctx, object))
	accepted, err := d.store.AcceptUpload(d.ctx, original.Upload{
		Collection: c, Key: key, Title: "Yield of the mill", Metadata: json.RawMessage(metadata), MediaType: "text/markdown",
		Object: object, Size: 4000, SHA256: hex.EncodeToString(hash[:]), ObjectETag: object,
	})
	d.must(err)
	return accepted
}

// claim claims a task of a job.
func (d *database) claim(job document.Job, kind task.Kind) task.Work {
	work, err := d.store.Claim(d.ctx, task.Ref{Tenant: tenant.Default, DocumentID: job.DocumentID, Version: job.Version, Kind: kind}, lease)
	d.must(err)
	return work
}

// ingest processes a document from its upload to its summary.
func (d *database) ingest(c vector.Collection, key, metadata string, passages []vector.EmbeddedPassage) document.Accepted {
	accepted := d.upload(c, key, metadata)
	_, err := d.store.Dispatch(d.ctx, dispatchWindows)
	d.must(err)
	d.must(d.publish(d.writeVersion(accepted.Job, passages)))
	d.summarise(accepted.Job)
	return accepted
}

// writtenVersion is a version that is complete and can be published.
type writtenVersion struct {
	work     task.Work
	also     []vector.SpaceVersion // in the other spaces
	progress document.KnowledgeProgress
}

// writeVersion does the knowledge task of a job, except its end: it writes the passages to every
// space that is kept complete.
func (d *database) writeVersion(job document.Job, passages []vector.EmbeddedPassage) writtenVersion {
	n := int64(len(passages))
	w := writtenVersion{work: d.claim(job, task.KindKnowledge), progress: document.KnowledgeProgress{
		Stage: "done", BytesDone: 4000, BytesTotal: 4000, Passages: n, Embedded: n,
	}}
	for _, space := range append(w.work.OtherSpaces, w.work.Space) {
		in := w.work
		in.Space = space
		d.must(d.store.WriteBatch(d.ctx, in, d.batch(space, passages), w.progress))
		if space.ID != w.work.Space.ID {
			w.also = append(w.also, vector.SpaceVersion{SpaceID: space.ID, Passages: n})
		}
	}
	return w
}

// batch returns the manifest entries of a version, and the passages that are not in the space yet.
func (d *database) batch(space vector.Space, passages []vector.EmbeddedPassage) (batch vector.Batch) {
	hashes := make([]document.ContentHash, len(passages))
	var start int64
	for i, p := range passages {
		hashes[i] = p.Hash
		end := start + int64(len(p.Content))
		batch.Entries = append(batch.Entries, vector.ManifestEntry{Hash: p.Hash, Ordinal: i, Start: start, End: end})
		start = end + 1
	}
	known, err := d.store.ReusePassages(d.ctx, space, hashes)
	d.must(err)
	for _, p := range passages {
		if _, is := known[p.Hash]; !is {
			p.Vector = p.Vector[:space.Model.Dimensions]
			batch.New = append(batch.New, p)
		}
	}
	return batch
}

func (d *database) publish(w writtenVersion) error {
	return d.store.Publish(d.ctx, w.work, w.also, w.progress)
}

// summarise does the summary task of a job, with two sections.
func (d *database) summarise(job document.Job) {
	work := d.claim(job, task.KindSummary)
	nodes := []document.ContentHash{document.HashText(job.ID.String() + "/1"), document.HashText(job.ID.String() + "/2")}
	_, err := d.store.ReuseSectionSummaries(d.ctx, work, nodes)
	d.must(err)
	progress := document.SummaryProgress{Sections: 2, SectionsDone: 2}
	d.must(d.store.SaveSectionSummaries(d.ctx, work, map[document.ContentHash]string{
		nodes[0]: "The first section is about grain.", nodes[1]: "The second section is about flour.",
	}, progress))
	d.must(d.store.FinishSummary(d.ctx, work, document.Summary{
		DocumentID: job.DocumentID, Version: job.Version, Model: "scale", Summary: "What a mill yields, by lot.",
	}, progress))
}

// fail ends both tasks of a job in failure.
func (d *database) fail(job document.Job) {
	for _, kind := range task.JobKinds {
		d.must(d.store.RecordOutcome(d.ctx, d.claim(job, kind), task.Outcome{Verdict: task.VerdictFail, Error: "the model refuses it"}))
	}
}

// passages returns n unique passages with vectors of the given dimensions.
func passages(n, dimensions int) []vector.EmbeddedPassage {
	list := make([]vector.EmbeddedPassage, n)
	for i := range list {
		content := fmt.Sprintf("Lot %s gave %d sacks.", uuid.NewString(), rand.IntN(1000))
		list[i] = vector.EmbeddedPassage{
			Hash:        document.HashText(content),
			PassageText: document.PassageText{HeadingPath: []string{"Yield", "Lots"}, Content: content, Tokens: 20},
			Vector:      randomVector(dimensions),
		}
	}
	return list
}

// randomVector returns a vector in a random direction.
func randomVector(dimensions int) []float32 {
	vector := make([]float32, dimensions)
	for i := range vector {
		vector[i] = float32(rand.NormFloat64())
	}
	return vector
}
