package reindex_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeDatabase is a store with one collection and one reindex of it, which builds a new space.
type fakeDatabase struct {
	mu         sync.Mutex
	reindex    document.Reindex
	from       vector.Space
	to         vector.Space
	active     int64 // the active space
	lease      uuid.UUID
	checkpoint uuid.UUID

	documents map[uuid.UUID]rebuild.MissingVersion // the published versions, by document
	objects   map[string]string
	spaces    map[int64]*space

	stages   []document.ReindexStage
	after    []uuid.UUID // arguments of the calls of MissingVersions
	opened   int         // number of opened objects
	indexed  int
	verified int
	changed  int

	// before is called at the begin of each call of the store, without the lock. The call returns
	// its error.
	before func(call string) error
}

// space is the content of a space.
type space struct {
	model    document.Model
	passages map[document.ContentHash]vector.EmbeddedPassage
	entries  map[version][]vector.ManifestEntry
	complete map[version]int64 // number of passages of each complete version
	warnings map[version]document.Warnings
}

// version is a version of a document.
type version struct {
	document uuid.UUID
	version  int
}

func versionOf(d rebuild.MissingVersion) version { return version{d.DocumentID, d.Version} }

func newSpace(model document.Model) *space {
	return &space{model, map[document.ContentHash]vector.EmbeddedPassage{}, map[version][]vector.ManifestEntry{}, map[version]int64{}, map[version]document.Warnings{}}
}

func newFakeDatabase(to document.Model, chunking document.Chunking) *fakeDatabase {
	from := vector.Space{ID: 1, Model: oldModel, Chunking: oldChunking}
	db := &fakeDatabase{
		reindex: document.Reindex{ID: uuid.New(), Collection: "default", Change: document.ChangeModel, Stage: document.StageDocuments},
		from:    from, to: vector.Space{ID: 2, Model: to, Chunking: chunking}, active: from.ID,
		documents: map[uuid.UUID]rebuild.MissingVersion{}, objects: map[string]string{},
	}
	db.spaces = map[int64]*space{1: newSpace(from.Model), 2: newSpace(to)}
	if chunking != from.Chunking {
		db.reindex.Change = document.ChangeChunking
	}
	return db
}

// claim returns the work under a new lease, for the next attempt.
func (db *fakeDatabase) claim() task.Work {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.lease = uuid.New()
	return task.Work{
		Ref:   task.Ref{Tenant: "default", DocumentID: db.reindex.ID, Version: 1, Kind: task.KindReindex},
		JobID: db.reindex.ID, Lease: db.lease, Collection: "default", Space: db.to,
	}
}

// upload makes a text the next version of a document, and writes it to spaces.
func (db *fakeDatabase) upload(id uuid.UUID, text string, in ...vector.Space) rebuild.MissingVersion {
	db.mu.Lock()
	defer db.mu.Unlock()
	d := rebuild.MissingVersion{DocumentID: id, Version: db.documents[id].Version + 1, Key: id.String() + ".md", Object: uuid.NewString(), Size: int64(len(text)), SHA256: sha256Hex(text)}
	db.objects[d.Object] = text
	db.documents[id] = d
	for _, in := range in {
		s := db.spaces[in.ID]
		for p, err := range chunk.Split(strings.NewReader(text), chunk.Options{Tokens: in.Chunking.Tokens}) {
			if err != nil {
				panic(err)
			}
			hash := p.ContentHash()
			s.passages[hash] = vector.EmbeddedPassage{Hash: hash, PassageText: p.PassageText, Vector: make([]float32, in.Model.Dimensions)}
			s.entries[versionOf(d)] = append(s.entries[versionOf(d)], vector.ManifestEntry{Hash: hash, Ordinal: p.Ordinal, Start: p.Start, End: p.End})
		}
		s.complete[versionOf(d)] = int64(len(s.entries[versionOf(d)]))
	}
	return d
}

// delete deletes a document.
func (db *fakeDatabase) delete(id uuid.UUID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.objects, db.documents[id].Object)
	delete(db.documents, id)
}

// lock begins a call. If it returns nil, the caller holds the lock.
func (db *fakeDatabase) lock(call string, work *task.Work) error {
	if db.before != nil {
		if err := db.before(call); err != nil {
			return err
		}
	}
	db.mu.Lock()
	if work != nil && work.Lease != db.lease {
		db.mu.Unlock()
		return fault.New(fault.LeaseLost, "lease lost")
	}
	return nil
}

func (db *fakeDatabase) missing() (missing []rebuild.MissingVersion) {
	for _, d := range db.documents {
		if _, ok := db.spaces[db.to.ID].complete[versionOf(d)]; !ok {
			missing = append(missing, d)
		}
	}
	slices.SortFunc(missing, func(a, b rebuild.MissingVersion) int { return bytes.Compare(a.DocumentID[:], b.DocumentID[:]) })
	return missing
}

func (db *fakeDatabase) Reindex(_ context.Context, id uuid.UUID) (document.Reindex, error) {
	if err := db.lock("Reindex", nil); err != nil {
		return document.Reindex{}, err
	}
	defer db.mu.Unlock()
	if id != db.reindex.ID {
		return document.Reindex{}, fault.New(fault.NotFound, "no reindex %s", id)
	}
	return db.reindex, nil
}

func (db *fakeDatabase) PlanRebuild(_ context.Context, work task.Work) (rebuild.Plan, error) {
	if err := db.lock("PlanRebuild", &work); err != nil {
		return rebuild.Plan{}, err
	}
	defer db.mu.Unlock()
	p := &db.reindex.Progress
	p.Documents, p.Bytes = p.DocumentsDone, p.BytesDone
	for _, d := range db.missing() {
		p.Documents++
		p.Bytes += d.Size
	}
	return rebuild.Plan{Reindex: db.reindex, From: db.from, To: db.to, Checkpoint: db.checkpoint}, nil
}

func (db *fakeDatabase) MissingVersions(_ context.Context, work task.Work, after uuid.UUID, limit int) ([]rebuild.MissingVersion, error) {
	if err := db.lock("MissingVersions", &work); err != nil {
		return nil, err
	}
	defer db.mu.Unlock()
	db.after = append(db.after, after)
	missing := slices.DeleteFunc(db.missing(), func(d rebuild.MissingVersion) bool { return bytes.Compare(d.DocumentID[:], after[:]) <= 0 })
	return missing[:min(limit, len(missing))], nil
}

func (db *fakeDatabase) VersionPassages(_ context.Context, in vector.Space, of rebuild.MissingVersion, from, limit int) ([]vector.PassageAt, error) {
	if err := db.lock("VersionPassages", nil); err != nil {
		return nil, err
	}
	defer db.mu.Unlock()
	s := db.spaces[in.ID]
	var stored []vector.PassageAt
	for _, entry := range s.entries[versionOf(of)] {
		if entry.Ordinal >= from && len(stored) < limit {
			stored = append(stored, vector.PassageAt{ManifestEntry: entry, PassageText: s.passages[entry.Hash].PassageText})
		}
	}
	return stored, nil
}

func (db *fakeDatabase) ReusePassages(_ context.Context, in vector.Space, hashes []document.ContentHash) (map[document.ContentHash]int, error) {
	known := map[document.ContentHash]int{}
	if err := db.lock("ReusePassages", nil); err != nil {
		return nil, err
	}
	defer db.mu.Unlock()
	here := db.spaces[in.ID]
	for _, hash := range hashes {
		for _, other := range db.spaces {
			if p, ok := other.passages[hash]; ok && other.model == here.model {
				here.passages[hash] = p
			}
		}
		if p, ok := here.passages[hash]; ok {
			known[hash] = p.EmbeddedBytes
		}
	}
	return known, nil
}

func (db *fakeDatabase) WriteToSpace(ctx context.Context, work task.Work, rebuilt rebuild.SpaceWrite, progress document.ReindexProgress) error {
	if err := db.lock("WriteToSpace", &work); err != nil {
		return err
	}
	defer db.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s := db.spaces[work.Space.ID]
	if len(rebuilt.New) > writeBatchPassages {
		return fmt.Errorf("%d passages in one write, want at most %d", len(rebuilt.New), writeBatchPassages)
	}
	for _, p := range rebuilt.New {
		if len(p.Vector) != s.model.Dimensions || p.Hash != p.ContentHash() {
			return fmt.Errorf("passage %q has a vector of %d dimensions, or a wrong hash", p.Content, len(p.Vector))
		}
		s.passages[p.Hash] = p
	}
	for _, part := range rebuilt.Versions {
		v := versionOf(part.MissingVersion)
		if db.documents[v.document] != part.MissingVersion {
			continue // no longer the published version
		}
		if part.TotalEntries == 0 || len(part.Entries) > 0 && part.Entries[0].Ordinal == 0 {
			delete(s.entries, v)
		}
		for _, entry := range part.Entries {
			if _, ok := s.passages[entry.Hash]; !ok {
				return fault.New(fault.Conflict, "the passage of an entry is missing")
			}
			if entry.Ordinal != len(s.entries[v]) {
				return fmt.Errorf("entry %d after %d entries", entry.Ordinal, len(s.entries[v]))
			}
			s.entries[v] = append(s.entries[v], entry)
		}
		if part.TotalEntries >= 0 {
			if int64(len(s.entries[v])) != part.TotalEntries {
				return fmt.Errorf("%d entries of a version with %d", len(s.entries[v]), part.TotalEntries)
			}
			s.complete[v], s.warnings[v] = part.TotalEntries, part.Warnings
		}
	}
	if rebuilt.Checkpoint != uuid.Nil {
		db.checkpoint = rebuilt.Checkpoint
	}
	db.reindex.Progress = progress
	return nil
}

func (db *fakeDatabase) SetReindexStage(_ context.Context, work task.Work, stage document.ReindexStage, progress document.ReindexProgress) error {
	if err := db.lock("SetReindexStage", &work); err != nil {
		return err
	}
	defer db.mu.Unlock()
	db.stages = append(db.stages, stage)
	db.reindex.Stage, db.reindex.Progress = stage, progress
	return nil
}

func (db *fakeDatabase) IndexSpace(_ context.Context, in vector.Space, threshold int) error {
	if err := db.lock("IndexSpace", nil); err != nil {
		return err
	}
	defer db.mu.Unlock()
	if in != db.to || threshold != 7 {
		return fmt.Errorf("index space %v with a threshold of %d", in, threshold)
	}
	db.indexed++
	return nil
}

func (db *fakeDatabase) VerifySpace(_ context.Context, work task.Work, sample int) error {
	if err := db.lock("VerifySpace", &work); err != nil {
		return err
	}
	defer db.mu.Unlock()
	db.verified++
	return db.checkComplete()
}

func (db *fakeDatabase) checkComplete() error {
	if n := len(db.missing()); n > 0 {
		return fault.New(fault.Conflict, "%d documents are missing", n)
	}
	return nil
}

func (db *fakeDatabase) ActivateSpace(_ context.Context, work task.Work, keep time.Duration, progress document.ReindexProgress) error {
	if err := db.lock("ActivateSpace", &work); err != nil {
		return err
	}
	defer db.mu.Unlock()
	if err := db.checkComplete(); err != nil {
		return err
	}
	if keep != soak || db.verified == 0 || db.indexed == 0 {
		return fmt.Errorf("activated with a soak of %s, indexed %d times and verified %d times", keep, db.indexed, db.verified)
	}
	db.active, db.reindex.Progress, db.reindex.Stage = db.to.ID, progress, document.StageDone
	return nil
}

func (db *fakeDatabase) RequeueDocuments(context.Context, task.Work, int) (rebuild.RequeueResult, error) {
	return rebuild.RequeueResult{}, errors.New("this reindex builds a space")
}

func (db *fakeDatabase) NotifyChange(context.Context, uuid.UUID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.changed++
}

func (db *fakeDatabase) Dispatch(context.Context) {}

func sha256Hex(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// objectReader reads an object.
type objectReader struct{ *strings.Reader }

func (objectReader) Close() error { return nil }

func (db *fakeDatabase) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.opened++
	text, ok := db.objects[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "no object %s", name)
	}
	return objectReader{strings.NewReader(text)}, nil
}
