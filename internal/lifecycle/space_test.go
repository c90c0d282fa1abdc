package lifecycle

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// collectionOf returns a collection with these spaces. The first one is active.
func collectionOf(spaces ...Space) Collection {
	return Collection{Active: spaces[0].ID, Spaces: spaces}
}

// Changes of spaces.
func retired(until time.Time) func(*Space) { return func(s *Space) { s.DropAfter = until } }
func unwritten(s *Space)                   { s.Written = false }
func unknownDimensions(s *Space)           { s.Model.Dimensions = 0 }

// space returns a space of the model with that name after changes.
func space(id int64, model string, changes ...func(*Space)) Space {
	s := spaceOf(id, model)
	for _, change := range changes {
		change(&s)
	}
	return s
}

func TestIsRetained(t *testing.T) {
	t.Parallel()
	for until, want := range map[time.Time]bool{{}: true, now.Add(1): true, now: false, now.Add(-1): false} {
		if got := (Space{DropAfter: until}).IsRetained(now); got != want {
			t.Errorf("dropped after %v: got %v, want %v", until, got, want)
		}
	}
}

func TestDiffSpaces(t *testing.T) {
	t.Parallel()
	retry := func(s *Space) { s.RetryLeftOut = true }
	was := collectionOf(space(1, "old"), space(2, "new", retired(now)))
	for name, test := range map[string]struct {
		is   Collection
		want SpaceChange
	}{
		"nothing":       {was, SpaceChange{}},
		"active":        {Collection{Active: 2, Spaces: was.Spaces}, SpaceChange{Active: true}},
		"added":         {was.withSpace(space(0, "newer")), SpaceChange{Add: []Space{space(0, "newer")}}},
		"added, active": {Collection{Active: 0, Spaces: append(slices.Clone(was.Spaces), space(0, "x"))}, SpaceChange{Add: []Space{space(0, "x")}, Active: true}},
		"not written":   {was.withSpace(space(1, "old", unwritten)), SpaceChange{Update: []Space{space(1, "old", unwritten)}}},
		"retry":         {was.withSpace(space(1, "old", retry)), SpaceChange{Update: []Space{space(1, "old", retry)}}},
		"in use again":  {was.withSpace(space(2, "new")), SpaceChange{Update: []Space{space(2, "new")}}},
		"retired": {was.withSpace(space(1, "old", retired(later))),
			SpaceChange{Update: []Space{space(1, "old", retired(later))}, Retired: []Space{space(1, "old", retired(later))}}},
		"retired again": {was.withSpace(space(2, "new", retired(later))),
			SpaceChange{Update: []Space{space(2, "new", retired(later))}, Retired: []Space{space(2, "new", retired(later))}}},
		"retired before": {was.withSpace(space(2, "new", retired(now), unwritten)), SpaceChange{Update: []Space{space(2, "new", retired(now), unwritten)}}},
	} {
		if diff := cmp.Diff(test.want, DiffSpaces(was, test.is)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	next := document.Model{Name: "new", Dimensions: 2}
	chunking := document.Chunking{Tokens: 400}
	empty := collectionOf(space(1, "old"))
	undimensioned := collectionOf(space(1, "old", unknownDimensions))
	kept := collectionOf(space(1, "old"), space(2, "new", unwritten, retired(later)))
	tooLong := document.Model{Name: "new", Dimensions: vector.MaxDimensions + 1}
	for name, test := range map[string]struct {
		was                      Collection
		replaceable, hasPassages bool
		model                    document.Model
		chunking                 document.Chunking
		want                     Collection
		kind                     fault.Kind
	}{
		"another model": {empty, true, false, next, chunking, Collection{Spaces: []Space{
			space(1, "old", unwritten, retired(now.Add(10*time.Minute))),
			space(0, "new")}}, ""},
		"another chunking": {empty, true, false, empty.Spaces[0].Model, document.Chunking{Tokens: 200, Overlap: 20}, Collection{Spaces: []Space{
			space(1, "old", unwritten, retired(now.Add(10*time.Minute))),
			space(0, "old", func(s *Space) { s.Chunking = document.Chunking{Tokens: 200, Overlap: 20} })}}, ""},
		"dimensions become known": {undimensioned, true, false, document.Model{Name: "old", Dimensions: 2}, chunking, Collection{Spaces: []Space{
			space(1, "old", unknownDimensions, unwritten, retired(now)),
			space(0, "old")}}, ""},
		"to a retained space": {kept, true, false, next, chunking, Collection{Active: 2, Spaces: []Space{
			space(1, "old", unwritten, retired(now.Add(10*time.Minute))),
			space(2, "new", func(s *Space) { s.RetryLeftOut = true })}}, ""},
		"the same":               {empty, true, false, empty.Spaces[0].Model, chunking, empty, ""},
		"not replaceable":        {empty, false, false, next, chunking, empty, ""},
		"has passages":           {empty, true, true, next, chunking, empty, ""},
		"dimensions not known":   {empty, true, false, document.Model{Name: "new"}, chunking, empty, fault.BadRequest},
		"too many dimensions":    {empty, true, false, tooLong, chunking, empty, fault.BadRequest},
		"not replaceable, unfit": {empty, false, true, tooLong, chunking, empty, ""},
		"the same, not known":    {undimensioned, true, false, undimensioned.Spaces[0].Model, chunking, undimensioned, ""},
	} {
		want := test.want
		test.was.ID, want.ID = collectionID, collectionID
		for i := range want.Spaces {
			if want.Spaces[i].ID == 0 {
				want.Spaces[i].CollectionID = collectionID
			}
		}
		got, err := test.was.Prepare(test.replaceable, test.hasPassages, test.model, test.chunking, now)
		check(t, name, want, got, test.kind, err)
	}
}

func TestCollectSpace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		space      Space
		active     int64
		beingBuilt bool
		ahead      time.Duration
		needed     bool
		kind       fault.Kind
	}{
		"over":               {space(2, "new", retired(now)), 1, false, 0, false, ""},
		"over ahead of time": {space(2, "new", retired(later)), 1, false, time.Minute, false, ""},
		"retained":           {space(2, "new", retired(later)), 1, false, time.Minute - 1, true, ""},
		"in use":             {space(2, "new"), 1, false, 0, true, ""},
		"does not exist":     {space(3, "new", retired(now)), 1, false, 0, true, ""},
		"active":             {space(2, "new", retired(now)), 2, false, 0, false, fault.Conflict},
		"being built":        {space(2, "new", retired(now)), 1, true, 0, false, fault.Conflict},
		"retained and built": {space(2, "new", retired(later)), 1, true, 0, true, ""},
	} {
		c := Collection{Active: test.active, Spaces: []Space{space(1, "old"), test.space}}
		needed, err := c.CollectSpace(2, test.beingBuilt, test.ahead, now)
		check(t, name, test.needed, needed, test.kind, err)
	}
}

func TestCollectPassages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		space      Space
		beingBuilt bool
		payer      document.JobState
		kind       fault.Kind
	}{
		"no payer":                 {space(1, "old"), false, "", ""},
		"payer queued":             {space(1, "old"), false, "queued", fault.Conflict},
		"payer running":            {space(1, "old"), false, "running", fault.Conflict},
		"payer waiting":            {space(1, "old"), false, "waiting", fault.Conflict},
		"payer succeeded":          {space(1, "old"), false, "succeeded", ""},
		"payer failed":             {space(1, "old"), false, "failed", ""},
		"payer cancelled":          {space(1, "old"), false, "cancelled", ""},
		"not written":              {space(1, "old", unwritten), false, "failed", fault.Conflict},
		"being built":              {space(1, "old"), true, "", fault.Conflict},
		"retired, but written":     {space(1, "old", retired(later)), false, "", ""},
		"retired, not written":     {space(1, "old", retired(later), unwritten), false, "", fault.Conflict},
		"being built, not written": {space(1, "old", unwritten), true, "succeeded", fault.Conflict},
	} {
		err := test.space.CollectPassages(test.beingBuilt, test.payer)
		check(t, name, 0, 0, test.kind, err)
	}
}

func TestFindOrAddSpace(t *testing.T) {
	t.Parallel()
	used := func(id int64) Space { return space(id, "new", func(s *Space) { s.RetryLeftOut = true }) }
	like := func(id int64, chunking document.Chunking, dimensions int) Space {
		return space(id, "new", func(s *Space) { s.Chunking, s.Model.Dimensions = chunking, dimensions })
	}
	wanted := spaceOf(0, "new").Space
	for name, test := range map[string]struct {
		spaces []Space // after space 1, which is active
		wanted vector.Space
		id     int64
		want   []Space
		kind   fault.Kind
	}{
		"none":                 {nil, wanted, 0, []Space{space(0, "new")}, ""},
		"in use":               {[]Space{space(2, "new")}, wanted, 2, []Space{used(2)}, ""},
		"not written":          {[]Space{space(2, "new", unwritten)}, wanted, 2, []Space{used(2)}, ""},
		"retired":              {[]Space{space(2, "new", unwritten, retired(later))}, wanted, 2, []Space{used(2)}, ""},
		"its time is over":     {[]Space{space(2, "new", retired(now))}, wanted, 0, []Space{space(2, "new", retired(now)), space(0, "new")}, ""},
		"the newest of two":    {[]Space{space(2, "new"), space(3, "new")}, wanted, 3, []Space{space(2, "new"), used(3)}, ""},
		"the newest is over":   {[]Space{space(2, "new"), space(3, "new", retired(now))}, wanted, 2, []Space{used(2), space(3, "new", retired(now))}, ""},
		"of another model":     {[]Space{space(2, "newer")}, wanted, 0, []Space{space(2, "newer"), space(0, "new")}, ""},
		"of other chunking":    {[]Space{like(2, document.Chunking{Tokens: 400, Overlap: 1}, 2)}, wanted, 0, []Space{like(2, document.Chunking{Tokens: 400, Overlap: 1}, 2), space(0, "new")}, ""},
		"of other dimensions":  {[]Space{like(2, document.Chunking{Tokens: 400}, 3)}, wanted, 0, []Space{like(2, document.Chunking{Tokens: 400}, 3), space(0, "new")}, ""},
		"dimensions not known": {nil, space(0, "new", unknownDimensions).Space, 0, nil, fault.BadRequest},
		"too many dimensions":  {nil, like(0, document.Chunking{}, vector.MaxDimensions+1).Space, 0, nil, fault.BadRequest},
	} {
		was := collectionOf(append([]Space{space(1, "old")}, test.spaces...)...)
		want := collectionOf(append([]Space{space(1, "old")}, test.want...)...)
		got, id, err := was.findOrAddSpace(test.wanted, now)
		check(t, name, want, got, test.kind, err)
		if id != test.id {
			t.Errorf("%s: got space %d, want %d", name, id, test.id)
		}
		if was.Spaces[0] != space(1, "old") || !slices.Equal(was.Spaces[1:], test.spaces) {
			t.Errorf("%s: the state before was changed: %+v", name, was.Spaces)
		}
	}
}

func TestRetainAndRetire(t *testing.T) {
	t.Parallel()
	was := collectionOf(space(1, "old"), space(2, "new", unwritten, retired(now)), space(3, "newer", unknownDimensions))
	for name, test := range map[string]struct {
		got  Collection
		want []Space
	}{
		"retain":                      {was.retain(2), []Space{was.Spaces[0], space(2, "new"), was.Spaces[2]}},
		"retain what is in use":       {was.retain(1), was.Spaces},
		"retire":                      {was.retire(1, false, time.Hour, now), []Space{space(1, "old", unwritten, retired(now.Add(time.Hour))), was.Spaces[1], was.Spaces[2]}},
		"retire and write":            {was.retire(1, true, time.Hour, now), []Space{space(1, "old", retired(now.Add(time.Hour))), was.Spaces[1], was.Spaces[2]}},
		"retire again":                {was.retire(2, true, time.Hour, now), []Space{was.Spaces[0], space(2, "new", retired(now.Add(time.Hour))), was.Spaces[2]}},
		"retire without dimensions":   {was.retire(3, true, time.Hour, now), []Space{was.Spaces[0], was.Spaces[1], space(3, "newer", unknownDimensions, unwritten, retired(now))}},
		"retire what does not exist":  {was.retire(4, true, time.Hour, now), was.Spaces},
		"a space that does not exist": {was.withSpace(space(4, "newest")), append(slices.Clone(was.Spaces), space(4, "newest"))},
	} {
		check(t, name, Collection{Active: 1, Spaces: test.want}, test.got, "", nil)
	}
}
