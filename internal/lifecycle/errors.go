package lifecycle

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// These are the failures that both stores find by themselves, in one wording.

func TaskNotFound() error { return fault.New(fault.NotFound, "there is no such task") }

func JobNotFound(id uuid.UUID) error { return fault.New(fault.NotFound, "there is no job %s", id) }

func DocumentNotFound(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no document %s", id)
}

func ReindexNotFound(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no reindex %s", id)
}

func WebhookNotFound(id uuid.UUID) error {
	return fault.New(fault.NotFound, "there is no webhook %s", id)
}

func CollectionNotFound(name string) error {
	return fault.New(fault.NotFound, "there is no collection %q", name)
}

func LeaseLost(ref task.Ref) error {
	return fault.New(fault.LeaseLost, "the lease on %s is no longer ours", ref)
}

// DocumentsMissing is the failure of a switch to a space that lacks documents.
func DocumentsMissing(documents, space int64) error {
	return fault.New(fault.Conflict, "%d documents are not whole in space %d", documents, space)
}

// MissedPublications is the failure of a switch while others go on publishing without
// the space.
func MissedPublications(space int64) error {
	return fault.New(fault.Conflict, "documents go on being published without space %d", space)
}

// SpaceNotActive is the failure of a search in a space that is no longer the active one.
func SpaceNotActive(space int64) error {
	return fault.New(fault.Conflict, "space %d no longer answers searches of its collection: search again", space)
}

// CheckCondition returns fault.PreconditionFailed unless the condition holds of the
// newest version, whose hash is empty where there is none.
func CheckCondition(c document.Condition, sha256 string) error {
	if err := c.Check(sha256); err != nil {
		return fault.Wrap(fault.PreconditionFailed, err, "%v", err)
	}
	return nil
}

// CheckPublish returns fault.Unavailable unless the active space is one of those
// that a version stands whole in.
func CheckPublish(active int64, placed []int64) error {
	for _, space := range placed {
		if space == active {
			return nil
		}
	}
	return fault.New(fault.Unavailable, "another space has become the active one; the next attempt writes to it").WithRetryAfter(RepublishDelay)
}

// CheckModel returns fault.BadRequest for vectors of a length that cannot be stored.
func CheckModel(model document.Model) error {
	if model.Dimensions < 0 || model.Dimensions > vector.MaxDimensions {
		return fault.New(fault.BadRequest, "model %q has vectors of %d dimensions; 1 to %d can be stored", model.Name, model.Dimensions, vector.MaxDimensions)
	}
	return nil
}

func supersededBy(version int) string { return fmt.Sprintf("superseded by version %d", version) }
