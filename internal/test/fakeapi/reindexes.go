package fakeapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ActiveSpace is the active space of every collection. Reindexes do not change it.
var ActiveSpace = vector.Space{Model: document.Model{Name: "local", Dimensions: 64}, Chunking: document.Chunking{Tokens: 400}}

func (s *Server) routeReindexes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/reindexes", s.reindex)
	mux.HandleFunc("GET /v1/reindexes", s.listReindexes)
	mux.HandleFunc("GET /v1/reindexes/{id}", s.getReindex)
	mux.HandleFunc("POST /v1/reindexes/{id}/{verb}", s.changeReindexState)
}

// Reindexes returns all reindexes in their current state, oldest first.
func (s *Server) Reindexes() []document.Reindex {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []document.Reindex
	for _, reindex := range s.reindexes {
		all = append(all, *reindex)
	}
	return all
}

// ReindexBodies returns the bodies of all requests for reindexes and estimates.
func (s *Server) ReindexBodies() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]json.RawMessage(nil), s.reindexBodies...)
}

// AddReindex adds a reindex as the newest one and returns its id.
func (s *Server) AddReindex(reindex document.Reindex) uuid.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	reindex.ID = uuid.Must(uuid.NewV7())
	s.reindexes = append(s.reindexes, &reindex)
	return reindex.ID
}

type reindexBody struct {
	Collection  string      `json:"collection"`
	Model       string      `json:"model"`
	Dimensions  int         `json:"dimensions"`
	Tokens      int         `json:"chunk_tokens"`
	Overlap     *int        `json:"chunk_overlap"`
	KeyPrefix   string      `json:"key_prefix"`
	DocumentIDs []uuid.UUID `json:"document_ids"`
	Force       bool        `json:"force"`
	DryRun      bool        `json:"dry_run"`
}

func (s *Server) reindex(w http.ResponseWriter, r *http.Request) {
	var text json.RawMessage
	var body reindexBody
	err := json.NewDecoder(r.Body).Decode(&text)
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		writeProblem(w, http.StatusBadRequest, "bad_request", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reindexBodies = append(s.reindexBodies, text)
	all := s.Collections
	if all == nil {
		all = []string{document.DefaultCollection}
	}
	collections := all
	named := body.Collection != "" || len(body.DocumentIDs) > 0
	if named {
		collections = []string{cmp.Or(body.Collection, document.DefaultCollection)}
	}
	var started []*document.Reindex
	var estimates []document.ReindexEstimate
	for _, collection := range collections {
		if !slices.Contains(all, collection) {
			writeProblem(w, http.StatusNotFound, "not_found", "no collection "+collection)
			return
		}
		for _, other := range s.reindexes {
			if other.Collection == collection && !other.State.Ended() {
				writeProblem(w, http.StatusConflict, "conflict", fmt.Sprintf("collection %s is being re-indexed already: reindex %s is %s", collection, other.ID, other.State))
				return
			}
		}
		one := body.newReindex(collection)
		started = append(started, one)
		estimate := s.Estimate
		estimate.Collection, estimate.Change, estimate.Model, estimate.Dimensions = collection, one.Change, one.Model, one.Dimensions
		estimates = append(estimates, estimate)
	}
	switch {
	case body.DryRun && named:
		write(w, http.StatusOK, estimates[0])
		return
	case body.DryRun:
		write(w, http.StatusOK, map[string]any{"items": estimates})
		return
	}
	s.reindexes = append(s.reindexes, started...)
	if named {
		w.Header().Set("Location", "/v1/reindexes/"+started[0].ID.String())
		write(w, http.StatusAccepted, started[0])
		return
	}
	write(w, http.StatusAccepted, map[string]any{"items": started})
}

func (b reindexBody) newReindex(collection string) *document.Reindex {
	target, change := rebuild.TargetSpace(document.ReindexRequest{
		Model: document.Model{Name: b.Model, Dimensions: b.Dimensions}, Tokens: b.Tokens, Overlap: b.Overlap,
	}, ActiveSpace)
	target.Model.Dimensions = cmp.Or(target.Model.Dimensions, ActiveSpace.Model.Dimensions) // a real server would ask the model
	return &document.Reindex{
		ID: uuid.Must(uuid.NewV7()), Collection: collection, Change: change,
		Model: target.Model.Name, Dimensions: target.Model.Dimensions, Tokens: target.Chunking.Tokens, Overlap: target.Chunking.Overlap,
		KeyPrefix: b.KeyPrefix, DocumentIDs: b.DocumentIDs, Force: b.Force,
		State: document.JobQueued, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// listReindexes lists reindexes, newest first. A cursor is the number of reindexes before the page.
func (s *Server) listReindexes(w http.ResponseWriter, r *http.Request) {
	query, list := r.URL.Query(), document.List[document.Reindex]{Items: []document.Reindex{}}
	skip, _ := strconv.Atoi(query.Get("cursor"))
	matches := func(name, value string) bool { return query.Get(name) == "" || query.Get(name) == value }
	all := s.Reindexes()
	slices.Reverse(all)
	for i, reindex := range all {
		if i < skip || !matches("state", string(reindex.State)) || !matches("collection", reindex.Collection) {
			continue
		}
		if len(list.Items) == cmp.Or(s.MaxPageSize, 1000) {
			list.NextCursor = strconv.Itoa(i)
			break
		}
		list.Items = append(list.Items, reindex)
	}
	write(w, http.StatusOK, list)
}

// getReindex answers immediately. A request with wait advances the reindex by one update.
func (s *Server) getReindex(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reindex := s.find(w, r)
	if reindex == nil {
		return
	}
	if r.URL.Query().Has("wait") && !reindex.State.Ended() {
		s.advanceReindex(reindex)
	}
	write(w, http.StatusOK, reindex)
}

// advanceReindex sets the reindex to the next state of ReindexUpdates, or to its final state after
// the last.
func (s *Server) advanceReindex(reindex *document.Reindex) {
	switch {
	case s.updatesSeen < len(s.ReindexUpdates):
		update := s.ReindexUpdates[s.updatesSeen]
		s.updatesSeen++
		reindex.State, reindex.Stage, reindex.Progress = cmp.Or(update.State, document.JobRunning), update.Stage, update.Progress
		reindex.Error, reindex.NextAttemptAt = update.Error, update.NextAttemptAt
	case reindex.Stage == document.StageReverting:
		reindex.State, reindex.Stage = document.JobSucceeded, document.StageReverted
	default:
		reindex.State, reindex.Stage = document.JobSucceeded, document.StageDone
		if reindex.Change != document.ChangeNothing {
			until := time.Now().Add(24 * time.Hour)
			reindex.RevertibleUntil = &until
		}
	}
}

// changeReindexState pauses, resumes, cancels or reverts a reindex, if its state allows that.
func (s *Server) changeReindexState(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reindex := s.find(w, r)
	if reindex == nil {
		return
	}
	allowed := false
	switch r.PathValue("verb") {
	case "pause":
		if allowed = !reindex.State.Ended(); allowed {
			reindex.State = document.JobPaused
		}
	case "resume":
		if allowed = reindex.State != document.JobSucceeded && reindex.State != document.JobCancelled; allowed {
			reindex.State, reindex.Error = document.JobQueued, ""
		}
	case "cancel":
		if allowed = !reindex.State.Ended() || reindex.State == document.JobCancelled; allowed {
			reindex.State = document.JobCancelled
		}
	case "revert":
		if allowed = reindex.RevertibleUntil != nil; allowed {
			reindex.Stage, reindex.RevertibleUntil = document.StageReverted, nil
		}
	default:
		writeProblem(w, http.StatusNotFound, "not_found", "there is nothing at "+r.URL.Path)
		return
	}
	if !allowed {
		writeProblem(w, http.StatusConflict, "conflict", fmt.Sprintf("reindex %s is %s, which does not allow to %s it", reindex.ID, reindex.State, r.PathValue("verb")))
		return
	}
	write(w, http.StatusOK, reindex)
}

// find returns the reindex named in the path, or answers 404 and returns nil.
func (s *Server) find(w http.ResponseWriter, r *http.Request) *document.Reindex {
	for _, reindex := range s.reindexes {
		if reindex.ID.String() == r.PathValue("id") {
			return reindex
		}
	}
	writeProblem(w, http.StatusNotFound, "not_found", "no reindex "+r.PathValue("id"))
	return nil
}
