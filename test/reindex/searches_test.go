package reindex_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// filters are the filters of the searches, in turn: none, a prefix of keys, and the metadata of the
// same documents.
var filters = []map[string]any{
	nil,
	{"key_prefix": stableKeys},
	nil,
	{"metadata": map[string]any{"kind": strings.TrimSuffix(stableKeys, "/")}},
}

const stableKeys = "stable/"

// search searches fifty times a second until the end of the traffic. It does not wait for earlier
// answers.
func (tr *traffic) search(ctx context.Context) {
	const (
		interval   = time.Second / 50
		maxPending = 50 // unanswered searches
	)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	slots := make(chan struct{}, maxPending)
	var searches sync.WaitGroup
	defer searches.Wait()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-tr.stop:
			return
		}
		select {
		case slots <- struct{}{}:
		case <-tr.stop:
			return
		}
		searches.Go(func() {
			defer func() { <-slots }()
			tr.recordAnswer(tr.searchOnce(ctx, filters[n%len(filters)]))
		})
	}
}

// recordAnswer counts an answer, and reports the error if it is wrong.
func (tr *traffic) recordAnswer(err error) {
	const maxReported = 10 // there may be thousands
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.answers++
	if err == nil {
		return
	}
	if tr.wrong++; tr.wrong <= maxReported {
		tr.env.t.Errorf("a search that ended %s after the start of the traffic: %v", time.Since(tr.began).Round(time.Millisecond), err)
	}
}

// searchOnce searches once, and returns an error if the answer is wrong.
func (tr *traffic) searchOnce(ctx context.Context, filter map[string]any) error {
	before, turn, start := tr.visibilities(), tr.spaces.searchBegun(), time.Now()
	body := map[string]any{"query": question, "limit": 30}
	if filter != nil {
		body["filter"] = filter
	}
	status, _, text, err := tr.env.program("api").Send(ctx, http.MethodPost, "/v1/search", body)
	took := time.Since(start)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%d %s", status, text)
	}
	var result document.SearchResult
	if err := json.Unmarshal(text, &result); err != nil {
		return err
	}
	after := tr.visibilities()
	tr.mu.Lock()
	tr.slowest = max(tr.slowest, took)
	tr.mu.Unlock()
	switch {
	case result.Degraded:
		return errors.New("the result is degraded")
	case len(result.Hits) == 0:
		return errors.New("the result is empty")
	}
	if err := tr.spaces.checkAnswer(turn, result.Hits); err != nil {
		return err
	}
	return checkHits(before, after, result.Hits, filter != nil)
}

// checkHits compares the hits of a search with what had to be visible when it started, and what
// could be visible when it ended. Each document must have all marks of one version.
func checkHits(before, after map[string]visibility, hits []document.Hit, onlyStable bool) error {
	type sight struct{ version, marks int }
	seen := map[string]sight{}
	for _, hit := range hits {
		if onlyStable && !strings.HasPrefix(hit.Key, stableKeys) {
			return fmt.Errorf("the result has %s, which the filter excludes", hit.Key)
		}
		key, version, _, ok := readMark(hit.Content)
		if !ok {
			continue
		}
		s := seen[key]
		if key != hit.Key || (s.marks > 0 && s.version != version) {
			return fmt.Errorf("the result has versions %d and %d of %s, under %s", s.version, version, key, hit.Key)
		}
		seen[key] = sight{version, s.marks + 1}
	}
	for key, now := range after {
		was, s := before[key], seen[key]
		delete(seen, key)
		switch {
		case onlyStable && !strings.HasPrefix(key, stableKeys):
		case s.marks == 0 && (was.published == 0 || now.deleting):
		case s.marks == 0:
			return fmt.Errorf("the result lacks %s, of which version %d is published", key, was.published)
		case s.marks != marksPerFile:
			return fmt.Errorf("the result has %d of %d passages of %s", s.marks, marksPerFile, key)
		case was.deleted:
			return fmt.Errorf("the result has %s, which is deleted", key)
		case s.version < was.published || s.version > now.sent:
			return fmt.Errorf("the result has version %d of %s, of which version %d was published and version %d was sent", s.version, key, was.published, now.sent)
		}
	}
	for key := range seen {
		return fmt.Errorf("the result has %s, which was never sent", key)
	}
	return nil
}
