// Package fakeapi is an API server for tests of the packages that use pkg/client. It speaks the
// HTTP contract and keeps its data in memory.
package fakeapi

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Server is a running server. The fields define how it behaves. Tests may set them before the first
// request.
type Server struct {
	URL              string
	Key              string                       // the bearer key that it requires; empty for none
	UploadRejections map[string]string            // uploads with these document keys are refused with this detail
	RateLimitOnce    map[string]bool              // the first upload with these keys is answered 429, Retry-After 1 s
	CutOffOnce       map[string]bool              // the first upload with these keys is accepted, but the connection closes before the answer
	JobErrors        map[string]string            // jobs of documents with these keys fail with this error
	JobWarnings      map[string]document.Warnings // warnings of the jobs with these keys
	UnendingJobs     map[string]bool              // jobs with these keys never end
	JobConflicts     map[string]string            // cancelling or retrying jobs with these keys is answered 409 with this detail
	MaxPageSize      int                          // maximum number of items on a page; 0 for 1000
	SearchResult     document.SearchResult        // answer to every search
	SearchRetryAfter []int                        // the first searches are refused, with these values of Retry-After, in seconds

	Collections    []string                 // the collections that can be re-indexed; nil for "default"
	ReindexUpdates []document.Reindex       // states that successive requests for a reindex return; after the last it has succeeded
	Estimate       document.ReindexEstimate // the answer to every dry run, except for its collection and model

	mu              sync.Mutex
	summaries       map[string]document.SummaryMode // by collection
	summaryRequests []uuid.UUID                     // documents for which a summary was requested
	accepted        []document.Accepted
	uploads         map[string][]string // Idempotency-Keys by document key
	contents        map[string]string
	searches        []json.RawMessage
	reindexes       []*document.Reindex // oldest first
	updatesSeen     int
	reindexBodies   []json.RawMessage
}

// New starts a server. It stops when the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{contents: map[string]string{}, summaries: map[string]document.SummaryMode{}, uploads: map[string][]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /v1/documents", s.upload)
	mux.HandleFunc("GET /v1/jobs", s.jobs)
	mux.HandleFunc("GET /v1/jobs/{id}", s.job)
	mux.HandleFunc("POST /v1/jobs/{id}/cancel", s.cancel)
	mux.HandleFunc("POST /v1/jobs/{id}/retry", s.retry)
	mux.HandleFunc("POST /v1/search", s.search)
	mux.HandleFunc("GET /v1/collections", s.collections)
	mux.HandleFunc("GET /v1/documents/{id}/summary", s.summary)
	mux.HandleFunc("POST /v1/documents/{id}/summary", s.requestSummary)
	mux.HandleFunc("GET /v1/collections/{name}", s.collection)
	mux.HandleFunc("PATCH /v1/collections/{name}", s.collection)
	s.routeReindexes(mux)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Key != "" && r.Header.Get("Authorization") != "Bearer "+s.Key {
			writeProblem(w, http.StatusUnauthorized, "unauthenticated", "the key is not valid")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Contents returns the uploaded texts, by collection and key.
func (s *Server) Contents() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	contents := map[string]string{}
	for key, content := range s.contents {
		contents[key] = content
	}
	return contents
}

// Uploads returns the Idempotency-Key of every upload with a document key, including uploads that
// did not succeed.
func (s *Server) Uploads(key string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.uploads[key]...)
}

// Jobs returns all jobs in their current state, in the order of upload.
func (s *Server) Jobs() []document.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	var jobs []document.Job
	for _, accepted := range s.accepted {
		jobs = append(jobs, accepted.Job)
	}
	return jobs
}

// Searches returns the bodies of all searches.
func (s *Server) Searches() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]json.RawMessage(nil), s.searches...)
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, "bad_request", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	collection, key := r.URL.Query().Get("collection"), r.URL.Query().Get("key")
	s.uploads[key] = append(s.uploads[key], r.Header.Get("Idempotency-Key"))
	first := len(s.uploads[key]) == 1
	if detail, ok := s.UploadRejections[key]; ok {
		writeProblem(w, http.StatusUnprocessableEntity, "empty_document", detail)
		return
	}
	if first && s.RateLimitOnce[key] {
		w.Header().Set("Retry-After", "1")
		writeProblem(w, http.StatusTooManyRequests, "rate_limited", "too many documents are queued")
		return
	}
	if have, ok := s.contents[collection+":"+key]; ok && have == string(content) {
		for _, accepted := range s.accepted {
			if accepted.Document.Key == key {
				accepted.Unchanged = true
				write(w, http.StatusOK, accepted)
				return
			}
		}
	}
	doc := document.Document{ID: uuid.Must(uuid.NewV7()), Collection: collection, Key: key, Size: int64(len(content)), Metadata: json.RawMessage("{}")}
	accepted := document.Accepted{Document: doc, Job: s.newJob(doc)}
	s.contents[collection+":"+key] = string(content)
	s.accepted = append(s.accepted, accepted)
	if first && s.CutOffOnce[key] {
		panic(http.ErrAbortHandler)
	}
	write(w, http.StatusAccepted, accepted)
}

// newJob returns a job in its final state: two passages, one of them reused.
func (s *Server) newJob(doc document.Document) document.Job {
	job := document.Job{
		ID: uuid.Must(uuid.NewV7()), DocumentID: doc.ID, Collection: doc.Collection, Version: 1,
		State: document.JobSucceeded, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	job.Tasks.Knowledge.KnowledgeProgress = document.KnowledgeProgress{Passages: 2, Embedded: 1, Reused: 1}
	if reason, ok := s.JobErrors[doc.Key]; ok {
		job.State, job.Error = document.JobFailed, reason
		job.Tasks.Knowledge.Error = reason
	}
	job.Warnings = s.JobWarnings[doc.Key]
	if s.UnendingJobs[doc.Key] {
		job.State = document.JobRunning
	}
	return job
}

func (s *Server) job(w http.ResponseWriter, r *http.Request) {
	for _, job := range s.Jobs() {
		if job.ID.String() != r.PathValue("id") {
			continue
		}
		if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil && !job.State.Ended() {
			select {
			case <-r.Context().Done():
			case <-time.After(wait):
			}
		}
		write(w, http.StatusOK, job)
		return
	}
	writeProblem(w, http.StatusNotFound, "not_found", "no job "+r.PathValue("id"))
}

// jobs lists jobs in the order of upload. A cursor is the number of jobs before the page.
func (s *Server) jobs(w http.ResponseWriter, r *http.Request) {
	query, list := r.URL.Query(), document.List[document.Job]{Items: []document.Job{}}
	skip, _ := strconv.Atoi(query.Get("cursor"))
	matches := func(name, value string) bool { return query.Get(name) == "" || query.Get(name) == value }
	for i, job := range s.Jobs() {
		if i < skip || !matches("state", string(job.State)) || !matches("collection", job.Collection) {
			continue
		}
		if len(list.Items) == cmp.Or(s.MaxPageSize, 1000) {
			list.NextCursor = strconv.Itoa(i)
			break
		}
		list.Items = append(list.Items, job)
	}
	write(w, http.StatusOK, list)
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) {
	s.changeJobState(w, r, document.JobCancelled, "cancelled on request", func(state document.JobState) bool { return !state.Ended() || state == document.JobCancelled })
}

func (s *Server) retry(w http.ResponseWriter, r *http.Request) {
	s.changeJobState(w, r, document.JobQueued, "", func(state document.JobState) bool { return state != document.JobSucceeded })
}

// changeJobState sets the state of a job, if possible returns true for its current state.
func (s *Server) changeJobState(w http.ResponseWriter, r *http.Request, to document.JobState, reason string, possible func(from document.JobState) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.accepted {
		doc, job := s.accepted[i].Document, &s.accepted[i].Job
		if job.ID.String() != r.PathValue("id") {
			continue
		}
		if detail, ok := s.JobConflicts[doc.Key]; ok {
			writeProblem(w, http.StatusConflict, "conflict", detail)
			return
		}
		if !possible(job.State) {
			writeProblem(w, http.StatusConflict, "conflict", "job "+job.ID.String()+" has "+string(job.State))
			return
		}
		job.State, job.Error = to, reason
		write(w, http.StatusOK, *job)
		return
	}
	writeProblem(w, http.StatusNotFound, "not_found", "no job "+r.PathValue("id"))
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		writeProblem(w, http.StatusBadRequest, "bad_request", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.searches = append(s.searches, body)
	if n := len(s.searches); n <= len(s.SearchRetryAfter) {
		w.Header().Set("Retry-After", strconv.Itoa(s.SearchRetryAfter[n-1]))
		writeProblem(w, http.StatusServiceUnavailable, "unavailable", "the question cannot be embedded now")
		return
	}
	write(w, http.StatusOK, s.SearchResult)
}

func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": detail})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// collections lists the collections whose settings were changed, by name, on one page.
func (s *Server) collections(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := document.List[document.CollectionSettings]{Items: []document.CollectionSettings{}}
	for _, name := range slices.Sorted(maps.Keys(s.summaries)) {
		list.Items = append(list.Items, document.CollectionSettings{Name: name, Model: "local", Dimensions: 64, Tokens: 400, Summaries: s.summaries[name]})
	}
	write(w, http.StatusOK, list)
}

// requestSummary answers with the job of the document. After that, summary answers with a summary
// of it.
func (s *Server) requestSummary(w http.ResponseWriter, r *http.Request) {
	for _, job := range s.Jobs() {
		if job.DocumentID.String() == r.PathValue("id") {
			s.mu.Lock()
			s.summaryRequests = append(s.summaryRequests, job.DocumentID)
			s.mu.Unlock()
			write(w, http.StatusAccepted, job)
			return
		}
	}
	writeProblem(w, http.StatusNotFound, "not_found", "no document "+r.PathValue("id"))
}

func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.summaryRequests {
		if id.String() == r.PathValue("id") {
			write(w, http.StatusOK, document.Summary{DocumentID: id, Version: 1, Model: "local", Summary: "A text."})
			return
		}
	}
	writeProblem(w, http.StatusNotFound, "not_found", "there is no summary yet")
}

// collection returns the settings of a collection, and changes them first if the request has a
// body.
func (s *Server) collection(w http.ResponseWriter, r *http.Request) {
	settings := document.CollectionSettings{Name: r.PathValue("name"), Model: "local", Dimensions: 64, Tokens: 400}
	_ = json.NewDecoder(r.Body).Decode(&settings) // a GET has no body
	s.mu.Lock()
	defer s.mu.Unlock()
	if settings.Summaries != "" {
		s.summaries[settings.Name] = settings.Summaries
	}
	settings.Summaries = cmp.Or(s.summaries[settings.Name], document.SummariesByModel)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(settings)
}
