package lifecycle

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Space is a row of spaces. One of id 0 is to be made.
type Space struct {
	vector.Space
	Written   bool      // what is uploaded is written to it too
	DropAfter time.Time // it was left, and is kept until then

	// RetryLeftOut has the store forget which documents were left out of the space:
	// they are tried again. It is never loaded.
	RetryLeftOut bool
}

// IsRetained reports whether the space can be taken up again. One whose time is over may
// be half gone.
func (s Space) IsRetained(now time.Time) bool {
	return s.DropAfter.IsZero() || s.DropAfter.After(now)
}

// Collection is a collection with all its spaces, under the collection's lock. Spaces
// that are being removed are none of them.
type Collection struct {
	ID      uuid.UUID
	Active  int64         // the space that answers searches
	Spaces  []Space       // in order of id
	Reindex ActiveReindex // that has not ended
}

// ActiveReindex is a reindex that keeps others out.
type ActiveReindex struct {
	ID    uuid.UUID
	State document.JobState
}

// SpaceChange is what a store writes to make one state of a collection's spaces the
// next, in this order. A space that is made gets its id from the store, which puts it
// wherever the next state has the id 0.
type SpaceChange struct {
	Add     []Space
	Update  []Space // written and drop_after, and RetryLeftOut
	Retired []Space // of those, the ones that are listed as garbage, due at DropAfter
	Active  bool    // active_space of the collection
}

// DiffSpaces returns what differs from was to is.
func DiffSpaces(was, is Collection) (c SpaceChange) {
	c.Active = was.Active != is.Active
	for _, s := range is.Spaces {
		before, there := was.space(s.ID)
		switch {
		case !there:
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

// Prepare replaces the active space by one of the given model and chunking, if it
// holds nothing and no reindex has built it. Any other active space stays.
func (c Collection) Prepare(unsettled, holds bool, model document.Model, chunking document.Chunking, now time.Time) (Collection, error) {
	active, _ := c.space(c.Active)
	if !unsettled || holds || active.Model == model && active.Chunking == chunking {
		return c, nil
	}
	next, id, err := c.findOrAddSpace(vector.Space{CollectionID: c.ID, Model: model, Chunking: chunking}, now)
	if err != nil {
		return c, err
	}
	next.Active = id
	return next.retire(c.Active, false, ReplacedSpaceRetention, now), nil
}

// CollectSpace decides whether a space that is listed as garbage may be removed. The
// entry of one that was taken up again is dropped: leaving it lists it again.
func (c Collection) CollectSpace(id int64, built bool, ahead time.Duration, now time.Time) (needed bool, err error) {
	s, there := c.space(id)
	switch {
	case !there, s.IsRetained(now.Add(ahead)):
		return true, nil
	case id == c.Active, built:
		return false, fault.New(fault.Conflict, "it is needed again")
	default:
		return false, nil
	}
}

// CollectPassages returns fault.Conflict while somebody may place the passages again
// that an entry of the garbage list names: a reindex, which may come back to a space
// that nothing is written to, or the task that has paid for them. The task's state is
// empty where there is none.
func (s Space) CollectPassages(built bool, paidBy document.JobState) error {
	switch {
	case !s.Written, built:
		return fault.New(fault.Conflict, "a reindex may need them")
	case paidBy != "" && !paidBy.Ended():
		return fault.New(fault.Conflict, "the task that paid for them has not ended")
	default:
		return nil
	}
}

// checkNoOtherReindex returns fault.Conflict while another reindex than the given one is active.
func (c Collection) checkNoOtherReindex(but uuid.UUID) error {
	if c.Reindex.ID == uuid.Nil || c.Reindex.ID == but {
		return nil
	}
	return fault.New(fault.Conflict, "reindex %s of the collection is %s: wait for its end, or cancel it", c.Reindex.ID, c.Reindex.State)
}

// findOrAddSpace takes up the newest space that is like the wanted one and is still kept, or
// makes it. It is written from now on, and what was left out of it is tried again.
func (c Collection) findOrAddSpace(wanted vector.Space, now time.Time) (next Collection, id int64, err error) {
	if wanted.Model.Dimensions == 0 {
		return c, 0, fault.New(fault.BadRequest, "the length of the vectors of model %q is not known", wanted.Model.Name)
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

// retain has a space be written, and stay.
func (c Collection) retain(id int64) Collection {
	s, _ := c.space(id)
	s.Written, s.DropAfter = true, time.Time{}
	return c.withSpace(s)
}

// retire has a space be dropped after a time, and until then be written or not. One
// whose vectors have no length yet has nothing to be kept.
func (c Collection) retire(id int64, written bool, keep time.Duration, now time.Time) Collection {
	s, there := c.space(id)
	if !there {
		return c
	}
	s.Written, s.DropAfter = written, now.Add(keep)
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

// withSpace returns the collection with a space in its new state, or one more.
func (c Collection) withSpace(s Space) Collection {
	c.Spaces = slices.Clone(c.Spaces)
	if i := slices.IndexFunc(c.Spaces, func(other Space) bool { return other.ID == s.ID }); i >= 0 {
		c.Spaces[i] = s
	} else {
		c.Spaces = append(c.Spaces, s)
	}
	return c
}
