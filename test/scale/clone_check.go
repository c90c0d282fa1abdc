package main

import (
	"errors"
	"fmt"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// checkClones fails unless the store reads a clone exactly like the document that the product
// stored, except for names, times and vectors, and reports another upload of it as unchanged.
func (d *database) checkClones(s docTemplate) {
	for _, n := range []int{s.first, s.first + s.count - 1} {
		if err := d.compareClone(s, n); err != nil {
			d.Fatalf("%s: document %s%d is not as the product stores it: %w", formatCount(d.size), s.prefix, n, err)
		}
	}
}

func (d *database) compareClone(s docTemplate, n int) error {
	id := d.cloneID(s.original.Document.ID, n)
	template, err := d.store.Document(d.ctx, s.original.Document.ID)
	if err != nil {
		return err
	}
	got, err := d.store.Document(d.ctx, id)
	if err != nil {
		return err
	}
	want := template
	want.ID, want.Key = id, fmt.Sprintf("%s%d.md", s.prefix, n)
	want.SHA256, want.Object, want.ObjectETag, want.CreatedAt, want.UpdatedAt = got.SHA256, got.Object, got.ObjectETag, got.CreatedAt, got.UpdatedAt
	if diff := cmp.Diff(want, got); diff != "" || got.SHA256 == template.SHA256 || got.Object == template.Object {
		return fmt.Errorf("document (-want +got):\n%s", diff)
	}
	return errors.Join(d.compareJob(s, id, n), d.comparePassages(s, id, got), d.compareUpload(s, got))
}

func (d *database) compareJob(s docTemplate, id uuid.UUID, n int) error {
	want, err := d.store.Job(d.ctx, s.original.Job.ID)
	if err != nil {
		return err
	}
	got, err := d.store.Job(d.ctx, d.cloneID(want.ID, n))
	if err != nil {
		return err
	}
	want.ID, want.DocumentID = got.ID, id
	want.CreatedAt, want.StartedAt, want.FinishedAt = got.CreatedAt, got.StartedAt, got.FinishedAt
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("job (-want +got):\n%s", diff)
	}
	return nil
}

// comparePassages compares the passages and the summary, and searches for the passages.
func (d *database) comparePassages(s docTemplate, id uuid.UUID, got document.Document) error {
	if s.passages == 0 {
		return nil
	}
	page := document.Page{Limit: s.passages + 1}
	want, err := d.store.Passages(d.ctx, s.original.Document.ID, page)
	if err != nil {
		return err
	}
	passages, err := d.store.Passages(d.ctx, id, page)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, passages); diff != "" || len(passages.Items) != s.passages {
		return fmt.Errorf("%d passages, want %d (-want +got):\n%s", len(passages.Items), s.passages, diff)
	}
	summary, err := d.store.Summary(d.ctx, id)
	if err != nil {
		return err
	}
	wantSummary, err := d.store.Summary(d.ctx, s.original.Document.ID)
	if err != nil {
		return err
	}
	wantSummary.DocumentID = id
	if diff := cmp.Diff(wantSummary, summary); diff != "" {
		return fmt.Errorf("summary (-want +got):\n%s", diff)
	}
	return d.compareHits(s, id, got)
}

func (d *database) compareHits(s docTemplate, id uuid.UUID, got document.Document) error {
	c, err := d.store.Collection(d.ctx, got.Collection)
	if err != nil {
		return err
	}
	values := randomVector(c.ActiveSpace.Model.Dimensions)
	hits, err := d.store.NearestPassages(d.ctx, c.ActiveSpace, vector.Query{
		Collection: c.Name, Vector: values, Limit: 2 * s.passages, Threshold: -1, KeyPrefix: got.Key, Metadata: got.Metadata,
	})
	if err != nil {
		return err
	}
	for _, hit := range hits {
		if hit.DocumentID != id || hit.Key != got.Key || hit.Content == "" || len(hit.AlsoIn) > 0 {
			return fmt.Errorf("a search with its key and metadata finds %+v", hit)
		}
	}
	if len(hits) != s.passages {
		return fmt.Errorf("a search with its key and metadata finds %d passages, want %d", len(hits), s.passages)
	}
	return nil
}

func (d *database) compareUpload(s docTemplate, got document.Document) error {
	if got.State == document.DocumentFailed {
		return nil // the same upload is processed again
	}
	c, err := d.store.Collection(d.ctx, got.Collection)
	if err != nil {
		return err
	}
	object := uuid.NewString()
	if err := d.store.BeginUpload(d.ctx, object); err != nil {
		return err
	}
	again, err := d.store.AcceptUpload(d.ctx, original.Upload{
		Collection: c, Key: got.Key, Title: got.Title, Metadata: got.Metadata, MediaType: got.MediaType,
		Object: object, Size: got.Size, SHA256: got.SHA256, ObjectETag: object,
	})
	if err != nil {
		return err
	}
	if !again.Unchanged || again.Document.ID != got.ID {
		return fmt.Errorf("another upload of the same content returns %+v", again)
	}
	return d.store.AbortUpload(d.ctx, object)
}
