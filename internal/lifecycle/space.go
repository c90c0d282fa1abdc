package lifecycle

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Space is a row of spaces. A space with the id 0 does not exist yet; the store creates it.
type Space struct {
	vector.Space
	Written   bool      // new versions are also written to this space
	DropAfter time.Time // the space is retired and kept until this time; zero if it is in use

	// RetryLeftOut tells the store to delete the records of the documents that were left out of the
	// space, so that a reindex tries these documents again. A store never loads it.
	RetryLeftOut bool
}

// IsRetained reports whether the space can be used again. After DropAfter, garbage collection may
// have deleted a part of it.
func (s Space) IsRetained(now time.Time) bool {
	return s.DropAfter.IsZero() || s.DropAfter.After(now)
}

// Collection is a collection with all its spaces, under the lock of the collection. Spaces that
// garbage collection has begun to delete are not included.
type Collection struct {
	ID      uuid.UUID
	Active  int64         // id of the active space
	Spaces  []Space       // in the order of their ids
	Reindex ActiveReindex // the collection's active reindex; the zero value if there is none
}

// ActiveReindex is a reindex that has not ended. A collection has at most one.
type ActiveReindex struct {
	ID    uuid.UUID
	State document.JobState
}

// SpaceChange is what a store has to write, in the order of the fields, when the spaces of a
// collection go from one state to the next. The store chooses the id of a space that it adds, and
// uses that id wherever the next state has the id 0.
type SpaceChange struct {
	Add     []Space
	Update  []Space // write written and drop_after, and carry out RetryLeftOut
	Retired []Space // the spaces of Update to add to the garbage list, due at their DropAfter
	Active  bool    // write the collection's active space
}

// DiffSpaces returns what a store has to write to save is over was.
func DiffSpaces(was, is Collection) (c SpaceChange) {
	c.Active = was.Active != is.Active
	for _, s := range is.Spaces {
		before, exists := was.space(s.ID)
		switch {
		case !exists:
			c.Add = append(c.Add, s)
		case s != before:
			c.Update = append(c.Update, s)
			if !s.DropAfter.IsZero() && s.DropAfter != before.DropAfter {
				c.Retired = append(c.Retired, s)
			}
		}
	}
	return c
}

// Prepare replaces the active space by a space of the given model and chunking. The active space
// stays if it already has them, if it has passages, or if it is not replaceable (see
// vector.Collection). It returns fault.BadRequest if vectors of the model cannot be stored.
func (c Collection) Prepare(replaceable, hasPassages bool, model document.Model, chunking document.Chunking, now time.Time) (Collection, error) {
	active, _ := c.space(c.Active)
	if !replaceable || hasPassages || active.Model == model && active.Chunking == chunking {
		return c, nil
	}
	next, id, err := c.findOrAddSpace(vector.Space{CollectionID: c.ID, Model: model, Chunking: chunking}, now)
	if err != nil {
		return c, err
	}
	next.Active = id
	return next.retire(c.Active, false, ReplacedSpaceRetention, now), nil
}

// CollectSpace decides whether garbage collection may delete a retired space. beingBuilt says that an
// active reindex builds the space. The retention time counts as over if it ends within ahead.
//
// If needed is true, the space does not exist or is kept, and the caller deletes the entry of the
// garbage list: the transaction that retires the space again adds a new entry. Otherwise the caller
// deletes the space. It returns fault.Conflict if the space is active or being built.
func (c Collection) CollectSpace(id int64, beingBuilt bool, ahead time.Duration, now time.Time) (needed bool, err error) {
	s, exists := c.space(id)
	switch {
	case !exists, s.IsRetained(now.Add(ahead)):
		return true, nil
	case id == c.Active, beingBuilt:
		return false, fault.New(fault.Conflict, "it is needed again")
	default:
		return false, nil
	}
}

// CollectPassages decides whether garbage collection may delete passages of the space that have no
// manifest entry. It returns fault.Conflict while a manifest entry for them may still be written: by
// a reindex that builds the space (beingBuilt) or that may resume building it, which is possible
// while the space is not written to; or by the task that has paid for the passages. payer is the
// state of that task, and empty if there is none.
func (s Space) CollectPassages(beingBuilt bool, payer document.JobState) error {
	switch {
	case !s.Written, beingBuilt:
		return fault.New(fault.Conflict, "a reindex may need them")
	case payer != "" && !payer.Ended():
		return fault.New(fault.Conflict, "the task that paid for them has not ended")
	default:
		return nil
	}
}

// checkNoOtherReindex returns fault.Conflict if a reindex other than own is active.
func (c Collection) checkNoOtherReindex(own uuid.UUID) error {
	if c.Reindex.ID == uuid.Nil || c.Reindex.ID == own {
		return nil
	}
	return fault.New(fault.Conflict, "reindex %s of the collection is %s: wait for its end, or cancel it", c.Reindex.ID, c.Reindex.State)
}

// findOrAddSpace returns the id of the newest retained space that has the model and chunking of
// wanted, or adds such a space, with the id 0. From now on, new versions are written to the space.
// Documents that were left out of it are tried again. It returns fault.BadRequest if the dimensions
// of the model are not known or vectors of that length cannot be stored.
func (c Collection) findOrAddSpace(wanted vector.Space, now time.Time) (next Collection, id int64, err error) {
	if wanted.Model.Dimensions == 0 {
		return c, 0, fault.New(fault.BadRequest, "the dimensions of model %q are not known", wanted.Model.Name)
	}
	if err := CheckModel(wanted.Model); err != nil {
		return c, 0, err
	}
	for _, s := range slices.Backward(c.Spaces) {
		if s.Model == wanted.Model && s.Chunking == wanted.Chunking && s.IsRetained(now) {
			s.RetryLeftOut = true
			return c.withSpace(s).retain(s.ID), s.ID, nil
		}
	}
	return c.withSpace(Space{Space: wanted, Written: true}), 0, nil
}

// retain takes a space into use: new versions are written to it, and it is no longer retired.
func (c Collection) retain(id int64) Collection {
	s, _ := c.space(id)
	s.Written, s.DropAfter = true, time.Time{}
	return c.withSpace(s)
}

// retire lets garbage collection delete a space after the retention time; written says whether new
// versions are written to it until then. A space whose dimensions are not known has no passages and
// may be deleted immediately.
func (c Collection) retire(id int64, written bool, retention time.Duration, now time.Time) Collection {
	s, exists := c.space(id)
	if !exists {
		return c
	}
	s.Written, s.DropAfter = written, now.Add(retention)
	if s.Model.Dimensions == 0 {
		s.Written, s.DropAfter = false, now
	}
	return c.withSpace(s)
}

func (c Collection) space(id int64) (Space, bool) {
	i := slices.IndexFunc(c.Spaces, func(s Space) bool { return s.ID == id })
	if i < 0 {
		return Space{}, false
	}
	return c.Spaces[i], true
}

// withSpace returns the collection with s in the place of the space that has its id, or with s added.
func (c Collection) withSpace(s Space) Collection {
	c.Spaces = slices.Clone(c.Spaces)
	if i := slices.IndexFunc(c.Spaces, func(other Space) bool { return other.ID == s.ID }); i >= 0 {
		c.Spaces[i] = s
	} else {
		c.Spaces = append(c.Spaces, s)
	}
	return c
}
