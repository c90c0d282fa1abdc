package lifecycle

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The functions below return failures that both stores detect in their own statements.

// TaskNotFound is the failure of a claim of a task that does not exist.
func TaskNotFound() error { return fault.New(fault.NotFound, "there is no such task") }

// JobNotFound is the failure of an operation on a job that does not exist.
func JobNotFound(id uuid.UUID) error { return fault.New(fault.NotFound, "there is no job %s", id) }

// DocumentNotFound is the failure of an operation on a document that does not exist or is deleted.
func DocumentNotFound(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no document %s", id)
}

// ReindexNotFound is the failure of an operation on a reindex that does not exist.
func ReindexNotFound(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no reindex %s", id)
}

// WebhookNotFound is the failure of an operation on a webhook that does not exist.
func WebhookNotFound(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no webhook %s", id)
}

// CollectionNotFound is the failure of an operation on a collection that does not exist.
func CollectionNotFound(name string) error {
	return fault.New(fault.NotFound, "there is no collection %q", name)
}

// LeaseLost is the failure of a write of a worker that no longer holds the lease of its task.
func LeaseLost(ref task.Ref) error {
	return fault.New(fault.LeaseLost, "the worker no longer holds the lease on %s", ref)
}

// DocumentsMissing is the failure to activate a space in which documents are not complete.
func DocumentsMissing(documents, space int64) error {
	return fault.New(fault.Conflict, "%d documents are not complete in space %d", documents, space)
}

// MissedPublications is the failure to activate a space while workers publish versions that are not
// in that space.
func MissedPublications(space int64) error {
	return fault.New(fault.Conflict, "workers keep publishing documents that are not in space %d", space)
}

// SpaceNotActive is the failure of a search in a space that is no longer the active space.
func SpaceNotActive(space int64) error {
	return fault.New(fault.Conflict, "space %d no longer answers searches of its collection: search again", space)
}

// BadCursor is the failure of a list whose page has a cursor that the list did not return.
func BadCursor(cursor string) error {
	return fault.New(fault.BadRequest, "cursor %q is not a cursor of this list: leave it out to begin again", cursor)
}

// CheckPage returns fault.BadRequest if the page has no room for an item.
func CheckPage(page document.Page) error {
	if page.Limit < 1 {
		return fault.New(fault.BadRequest, "a page of %d items: ask for at least 1", page.Limit)
	}
	return nil
}

// CheckQueryVector returns fault.BadRequest if a vector of that length cannot be compared with the
// vectors of the model.
func CheckQueryVector(length int, model document.Model) error {
	if length != model.Dimensions {
		return fault.New(fault.BadRequest, "a vector of %d dimensions cannot be compared with the vectors of model %q, which have %d",
			length, model.Name, model.Dimensions)
	}
	return nil
}

// CheckCondition returns fault.PreconditionFailed unless the condition holds for the newest version.
// sha256 is the hash of its original, and empty if there is no version.
func CheckCondition(c document.Condition, sha256 string) error {
	if err := c.Check(sha256); err != nil {
		return fault.Wrap(fault.PreconditionFailed, err, "%v", err)
	}
	return nil
}

// CheckPublish returns fault.Unavailable unless the active space is among the spaces in which the
// version is complete.
func CheckPublish(active int64, complete []int64) error {
	if slices.Contains(complete, active) {
		return nil
	}
	return fault.New(fault.Unavailable, "another space has become the active space; the next attempt writes to it").WithRetryAfter(RepublishDelay)
}

// CheckModel returns fault.BadRequest if vectors of the model's dimensions cannot be stored. Dimensions
// of 0 mean that they are not known yet.
func CheckModel(model document.Model) error {
	if model.Dimensions < 0 || model.Dimensions > vector.MaxDimensions {
		return fault.New(fault.BadRequest, "model %q has vectors of %d dimensions; 1 to %d can be stored", model.Name, model.Dimensions, vector.MaxDimensions)
	}
	return nil
}

func supersededBy(version int) string { return fmt.Sprintf("superseded by version %d", version) }
