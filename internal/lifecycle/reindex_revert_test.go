package lifecycle

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// switched is a reindex that has succeeded. Space 2, which it built, is active; space 1 is kept.
func switched(changes ...func(*Reindex)) Reindex {
	return reindexIn("succeeded", append([]func(*Reindex){
		active(2), withSpace(1, retired(later)), func(r *Reindex) { r.Stage = document.StageDone },
	}, changes...)...)
}

// Every step of a revert is refused in the same states.
func TestRevert(t *testing.T) {
	t.Parallel()
	refused := map[string]reindexTest{
		"changes nothing":           {switched(func(r *Reindex) { r.Change = document.ChangeNothing }), nil, fault.Conflict},
		"built the space it is in":  {switched(func(r *Reindex) { r.From = 2 }), nil, fault.Conflict},
		"reverted":                  {switched(func(r *Reindex) { r.Stage = document.StageReverted }), nil, fault.Conflict},
		"reverting, succeeded":      {switched(reverting), nil, fault.Conflict},
		"another space is active":   {switched(active(1)), nil, fault.Conflict},
		"the previous is over":      {switched(withSpace(1, retired(now))), nil, fault.Conflict},
		"the previous is gone":      {switched(func(r *Reindex) { r.Collection.Spaces = r.Collection.Spaces[1:] }), nil, fault.Conflict},
		"another reindex is active": {switched(otherReindex), nil, fault.Conflict},
	}
	for _, state := range allStates {
		if state != document.JobSucceeded {
			refused[string(state)] = reindexTest{reindexIn(state, active(2)), nil, fault.Conflict}
			refused["reverting, "+string(state)] = reindexTest{reindexIn(state, active(2), reverting), nil, fault.Conflict}
		}
	}
	start := func(r Reindex) (Reindex, error) { return r.StartRevert(now) }
	revertNow := func(r Reindex) (Reindex, error) { return r.RevertNow(time.Hour, now) }
	revertLater := func(r Reindex) (Reindex, error) { return r.RevertLater(now) }
	for _, event := range []func(Reindex) (Reindex, error){
		func(r Reindex) (Reindex, error) { return r, r.CheckRevert(now) }, start, revertNow, revertLater,
	} {
		runReindexTests(t, event, refused)
	}

	runReindexTests(t, start, map[string]reindexTest{
		"start":              {switched(withSpace(1, unwritten)), withSpace(1, func(s *Space) { s.Written = true }), ""},
		"start, is written":  {switched(), nil, ""},
		"start, from a task": {switched(func(r *Reindex) { r.Change = document.ChangeChunking }), nil, ""},
	})
	reverted := all(endedReindex("succeeded", ""), active(1), withSpace(1, inUse), withSpace(2, unwritten, retired(now.Add(time.Hour))),
		func(r *Reindex) { r.Stage = document.StageReverted })
	runReindexTests(t, revertNow, map[string]reindexTest{
		"now":                 {switched(), reverted, ""},
		"now, after a start":  {switched(withSpace(1, unwritten, func(s *Space) { s.Written = true })), reverted, ""},
		"now, without a date": {switched(withSpace(1, inUse)), reverted, ""},
	})
	queued := all(withoutProgress, restartedReindex, withSpace(1, inUse), reverting)
	runReindexTests(t, revertLater, map[string]reindexTest{
		"later":              {switched(), queued, ""},
		"later, not written": {switched(withSpace(1, unwritten)), queued, ""},
	})
}
