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

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// database is a store with one collection and one reindex of it, which builds
// a space beside the live one.
type database struct {
	mu      sync.Mutex
	reindex document.Reindex
	from    document.Space
	to      document.Space
	live    int64 // the live space
	lease   uuid.UUID
	reached uuid.UUID

	documents map[uuid.UUID]document.Unplaced // their live versions
	objects   map[string]string
	spaces    map[int64]*space

	stages   []document.ReindexStage
	after    []uuid.UUID // that were asked for what is unplaced behind them
	opened   int         // objects
	indexed  int
	verified int
	changed  int

	// before is called before each call of the store is answered, without the
	// lock. An error is its answer.
	before func(call string) error
}

// space is what a space holds.
type space struct {
	model    document.Model
	passages map[document.Hash]document.Embedded
	places   map[version][]document.Place
	whole    map[version]int64
	warnings map[version]document.Warnings
}

// version is one version of one document.
type version struct {
	document uuid.UUID
	version  int
}

func versionOf(d document.Unplaced) version { return version{d.Document, d.Version} }

func newSpace(model document.Model) *space {
	return &space{model, map[document.Hash]document.Embedded{}, map[version][]document.Place{}, map[version]int64{}, map[version]document.Warnings{}}
}

func newDatabase(to document.Model, chunking document.Chunking) *database {
	from := document.Space{ID: 1, Model: oldModel, Chunking: oldChunking}
	db := &database{
		reindex: document.Reindex{ID: uuid.New(), Collection: "default", Change: document.ChangeModel, Stage: document.StageDocuments},
		from:    from, to: document.Space{ID: 2, Model: to, Chunking: chunking}, live: from.ID,
		documents: map[uuid.UUID]document.Unplaced{}, objects: map[string]string{},
	}
	db.spaces = map[int64]*space{1: newSpace(from.Model), 2: newSpace(to)}
	if chunking != from.Chunking {
		db.reindex.Change = document.ChangeChunking
	}
	return db
}

// claim returns the work under a new lease, as for a next attempt.
func (db *database) claim() document.Work {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.lease = uuid.New()
	return document.Work{
		TaskRef: document.TaskRef{Tenant: "default", Document: db.reindex.ID, Version: 1, Kind: document.Reindexing},
		Job:     db.reindex.ID, Lease: db.lease, Collection: "default", Space: db.to,
	}
}

// upload makes a text the next version of a document, and places it in spaces.
func (db *database) upload(id uuid.UUID, text string, in ...document.Space) document.Unplaced {
	db.mu.Lock()
	defer db.mu.Unlock()
	d := document.Unplaced{Document: id, Version: db.documents[id].Version + 1, Key: id.String() + ".md", Object: uuid.NewString(), Size: int64(len(text)), SHA256: sum(text)}
	db.objects[d.Object] = text
	db.documents[id] = d
	for _, in := range in {
		s := db.spaces[in.ID]
		for p, err := range chunk.Split(strings.NewReader(text), chunk.Options{Tokens: in.Chunking.Tokens}) {
			if err != nil {
				panic(err)
			}
			hash := p.Name()
			s.passages[hash] = document.Embedded{Hash: hash, Text: p.Text, Vector: make([]float32, in.Model.Dimensions)}
			s.places[versionOf(d)] = append(s.places[versionOf(d)], document.Place{Hash: hash, Ordinal: p.Ordinal, Start: p.Start, End: p.End})
		}
		s.whole[versionOf(d)] = int64(len(s.places[versionOf(d)]))
	}
	return d
}

// delete hides a document.
func (db *database) delete(id uuid.UUID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.objects, db.documents[id].Object)
	delete(db.documents, id)
}

// enter begins a call. When it succeeds the caller holds the lock.
func (db *database) enter(call string, work *document.Work) error {
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

func (db *database) missing() (missing []document.Unplaced) {
	for _, d := range db.documents {
		if _, ok := db.spaces[db.to.ID].whole[versionOf(d)]; !ok {
			missing = append(missing, d)
		}
	}
	slices.SortFunc(missing, func(a, b document.Unplaced) int { return bytes.Compare(a.Document[:], b.Document[:]) })
	return missing
}

func (db *database) Reindex(_ context.Context, id uuid.UUID) (document.Reindex, error) {
	if err := db.enter("Reindex", nil); err != nil {
		return document.Reindex{}, err
	}
	defer db.mu.Unlock()
	if id != db.reindex.ID {
		return document.Reindex{}, fault.New(fault.NotFound, "no reindex %s", id)
	}
	return db.reindex, nil
}

func (db *database) Rebuild(_ context.Context, work document.Work) (document.Rebuild, error) {
	if err := db.enter("Rebuild", &work); err != nil {
		return document.Rebuild{}, err
	}
	defer db.mu.Unlock()
	p := &db.reindex.Progress
	p.Documents, p.Bytes = p.DocumentsDone, p.BytesDone
	for _, d := range db.missing() {
		p.Documents++
		p.Bytes += d.Size
	}
	return document.Rebuild{Reindex: db.reindex, From: db.from, To: db.to, Reached: db.reached}, nil
}

func (db *database) Unplaced(_ context.Context, work document.Work, after uuid.UUID, limit int) ([]document.Unplaced, error) {
	if err := db.enter("Unplaced", &work); err != nil {
		return nil, err
	}
	defer db.mu.Unlock()
	db.after = append(db.after, after)
	missing := slices.DeleteFunc(db.missing(), func(d document.Unplaced) bool { return bytes.Compare(d.Document[:], after[:]) <= 0 })
	return missing[:min(limit, len(missing))], nil
}

func (db *database) StoredPassages(_ context.Context, in document.Space, of document.Unplaced, from, limit int) ([]document.Stored, error) {
	if err := db.enter("StoredPassages", nil); err != nil {
		return nil, err
	}
	defer db.mu.Unlock()
	s := db.spaces[in.ID]
	var stored []document.Stored
	for _, place := range s.places[versionOf(of)] {
		if place.Ordinal >= from && len(stored) < limit {
			stored = append(stored, document.Stored{Place: place, Text: s.passages[place.Hash].Text})
		}
	}
	return stored, nil
}

func (db *database) Known(_ context.Context, in document.Space, hashes []document.Hash) (map[document.Hash]int, error) {
	known := map[document.Hash]int{}
	if err := db.enter("Known", nil); err != nil {
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

func (db *database) Place(ctx context.Context, work document.Work, rebuilt document.Rebuilt, progress document.ReindexProgress) error {
	if err := db.enter("Place", &work); err != nil {
		return err
	}
	defer db.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s := db.spaces[work.Space.ID]
	if len(rebuilt.New) > unitPassages {
		return fmt.Errorf("%d passages in one write", len(rebuilt.New))
	}
	for _, p := range rebuilt.New {
		if len(p.Vector) != s.model.Dimensions || p.Hash != p.Name() {
			return fmt.Errorf("passage %q with a vector of length %d", p.Content, len(p.Vector))
		}
		s.passages[p.Hash] = p
	}
	for _, part := range rebuilt.Places {
		v := versionOf(part.Unplaced)
		if db.documents[v.document] != part.Unplaced {
			continue // no longer the live version
		}
		if part.Whole == 0 || len(part.Places) > 0 && part.Places[0].Ordinal == 0 {
			delete(s.places, v)
		}
		for _, place := range part.Places {
			if _, ok := s.passages[place.Hash]; !ok {
				return fault.New(fault.Conflict, "passage is gone")
			}
			if place.Ordinal != len(s.places[v]) {
				return fmt.Errorf("place %d after %d places", place.Ordinal, len(s.places[v]))
			}
			s.places[v] = append(s.places[v], place)
		}
		if part.Whole >= 0 {
			if int64(len(s.places[v])) != part.Whole {
				return fmt.Errorf("%d places of a document with %d", len(s.places[v]), part.Whole)
			}
			s.whole[v], s.warnings[v] = part.Whole, part.Warnings
		}
	}
	if rebuilt.Reached != uuid.Nil {
		db.reached = rebuilt.Reached
	}
	db.reindex.Progress = progress
	return nil
}

func (db *database) SetStage(_ context.Context, work document.Work, stage document.ReindexStage, progress document.ReindexProgress) error {
	if err := db.enter("SetStage", &work); err != nil {
		return err
	}
	defer db.mu.Unlock()
	db.stages = append(db.stages, stage)
	db.reindex.Stage, db.reindex.Progress = stage, progress
	return nil
}

func (db *database) IndexSpace(_ context.Context, in document.Space, threshold int) error {
	if err := db.enter("IndexSpace", nil); err != nil {
		return err
	}
	defer db.mu.Unlock()
	if in != db.to || threshold != 7 {
		return fmt.Errorf("index space %v with a threshold of %d", in, threshold)
	}
	db.indexed++
	return nil
}

func (db *database) Verify(_ context.Context, work document.Work, sample int) error {
	if err := db.enter("Verify", &work); err != nil {
		return err
	}
	defer db.mu.Unlock()
	db.verified++
	return db.complete()
}

func (db *database) complete() error {
	if n := len(db.missing()); n > 0 {
		return fault.New(fault.Conflict, "%d documents are missing", n)
	}
	return nil
}

func (db *database) Switch(_ context.Context, work document.Work, keep time.Duration, progress document.ReindexProgress) error {
	if err := db.enter("Switch", &work); err != nil {
		return err
	}
	defer db.mu.Unlock()
	if err := db.complete(); err != nil {
		return err
	}
	if keep != soak || db.verified == 0 || db.indexed == 0 {
		return fmt.Errorf("switched to a space kept for %s, indexed %d times and verified %d times", keep, db.indexed, db.verified)
	}
	db.live, db.reindex.Progress, db.reindex.Stage = db.to.ID, progress, document.StageDone
	return nil
}

func (db *database) Requeue(context.Context, document.Work, int) (document.Requeued, error) {
	return document.Requeued{}, errors.New("a space is to be built")
}

func (db *database) Changed(context.Context, uuid.UUID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.changed++
}

func (db *database) Dispatch(context.Context) {}

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// reader is an object.
type reader struct{ *strings.Reader }

func (reader) Close() error { return nil }

func (db *database) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.opened++
	text, ok := db.objects[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "no object %s", name)
	}
	return reader{strings.NewReader(text)}, nil
}
