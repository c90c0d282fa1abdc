package sweep

import (
	"context"
	"errors"
	"time"
)

// remove removes what nobody refers to any more, a batch of each tenant in
// turn, until nothing is left or time is up. A tenant or a kind of thing that
// cannot be removed now does not keep the others.
func (s *Sweeper) remove(ctx context.Context, tenants []string) error {
	until := time.Now().Add(removeTime)
	var errs []error
	for len(tenants) > 0 {
		var unfinished []string
		for _, id := range tenants {
			if time.Now().After(until) {
				return errors.Join(errs...)
			}
			more, err := s.removeBatch(of(ctx, id), until)
			if err != nil {
				errs = append(errs, err)
			} else if more {
				unfinished = append(unfinished, id)
			}
		}
		tenants = unfinished
	}
	return errors.Join(errs...)
}

// removeBatch removes up to a batch of each kind of thing of a tenant, and
// reports whether there may be more. Objects go one by one, so only until then.
func (s *Sweeper) removeBatch(ctx context.Context, until time.Time) (more bool, err error) {
	var errs []error
	for _, kind := range []func(context.Context) (int, error){
		func(ctx context.Context) (int, error) { return s.removeUploads(ctx, until) },
		func(ctx context.Context) (int, error) { return s.removeVersions(ctx, until) }, // before passages and sections: theirs are orphans then
		func(ctx context.Context) (int, error) { return s.Store.DropSpaces(ctx, batch) },
		func(ctx context.Context) (int, error) { return s.Store.DropOrphans(ctx, s.Grace, batch) },
		func(ctx context.Context) (int, error) { return s.Store.DropSections(ctx, s.Grace, batch) },
		func(ctx context.Context) (int, error) { return s.Store.DropIdempotencyKeys(ctx, keepKeys, batch) },
		func(ctx context.Context) (int, error) { return s.Store.DropDeliveries(ctx, keepDeliveries, batch) },
	} {
		n, err := kind(ctx)
		more = more || n >= batch
		errs = append(errs, err)
	}
	return more, errors.Join(errs...)
}

// removeUploads removes the objects of uploads that came to nothing, then the
// notes that name them.
func (s *Sweeper) removeUploads(ctx context.Context, until time.Time) (removed int, err error) {
	objects, err := s.Store.Abandoned(ctx, s.Grace, batch)
	if err != nil {
		return 0, err
	}
	for _, object := range objects {
		if time.Now().After(until) {
			break
		}
		if err := s.Objects.Delete(ctx, object); err != nil {
			return removed, err
		}
		if err := s.Store.EndUpload(ctx, object); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// removeVersions removes the objects of versions that no reader can see any
// more, then the rows that name them. In this order a crash leaves nothing that
// the next sweep does not find.
func (s *Sweeper) removeVersions(ctx context.Context, until time.Time) (removed int, err error) {
	remains, err := s.Store.Remains(ctx, keepJobs, batch)
	if err != nil {
		return 0, err
	}
	for _, r := range remains {
		if time.Now().After(until) {
			break
		}
		if r.Object != "" {
			if err := s.Objects.Delete(ctx, r.Object); err != nil {
				return removed, err
			}
		}
		if err := s.Store.Forget(ctx, r); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
