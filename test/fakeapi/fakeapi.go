// Package fakeapi is a server for tests of what stands on package client: it
// speaks the HTTP contract and keeps what it is given in memory.
package fakeapi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Server is a running server. Its fields say how it behaves and may be set
// before the first request.
type Server struct {
	URL     string
	Key     string                // the bearer key it asks for; none if empty
	Refused map[string]string     // uploads under these keys are refused with this detail
	Failing map[string]string     // jobs of these keys fail with this error
	Endless map[string]bool       // jobs of these keys never end
	Result  document.SearchResult // answer to every search

	mu       sync.Mutex
	accepted []document.Accepted
	contents map[string]string
	searches []json.RawMessage
}

// New starts a server that is stopped with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{contents: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /v1/documents", s.upload)
	mux.HandleFunc("GET /v1/jobs", s.jobs)
	mux.HandleFunc("GET /v1/jobs/{id}", s.job)
	mux.HandleFunc("POST /v1/search", s.search)
	mux.HandleFunc("POST /v1/reindexes", s.reindex)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Key != "" && r.Header.Get("Authorization") != "Bearer "+s.Key {
			problem(w, http.StatusUnauthorized, "unauthenticated", "the key is not valid")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Contents returns what was uploaded, by collection and key.
func (s *Server) Contents() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	contents := map[string]string{}
	for key, content := range s.contents {
		contents[key] = content
	}
	return contents
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
		problem(w, http.StatusBadRequest, "bad_request", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	collection, key := r.URL.Query().Get("collection"), r.URL.Query().Get("key")
	if detail, ok := s.Refused[key]; ok {
		problem(w, http.StatusUnprocessableEntity, "empty_document", detail)
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
	write(w, http.StatusAccepted, accepted)
}

// newJob returns a job as it will end: two passages, one of them reused.
func (s *Server) newJob(doc document.Document) document.Job {
	job := document.Job{
		ID: uuid.Must(uuid.NewV7()), DocumentID: doc.ID, Collection: doc.Collection, Version: 1,
		State: document.Succeeded, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	job.Tasks.Knowledge.KnowledgeProgress = document.KnowledgeProgress{Passages: 2, Embedded: 1, Reused: 1}
	if reason, ok := s.Failing[doc.Key]; ok {
		job.State, job.Error = document.JobFailed, reason
	}
	if s.Endless[doc.Key] {
		job.State = document.Running
	}
	return job
}

func (s *Server) job(w http.ResponseWriter, r *http.Request) {
	for _, job := range s.allJobs() {
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
	problem(w, http.StatusNotFound, "not_found", "no job "+r.PathValue("id"))
}

func (s *Server) jobs(w http.ResponseWriter, r *http.Request) {
	list := document.List[document.Job]{Items: []document.Job{}}
	for _, job := range s.allJobs() {
		if state := r.URL.Query().Get("state"); state == "" || state == string(job.State) {
			list.Items = append(list.Items, job)
		}
	}
	write(w, http.StatusOK, list)
}

func (s *Server) allJobs() []document.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	var jobs []document.Job
	for _, accepted := range s.accepted {
		jobs = append(jobs, accepted.Job)
	}
	return jobs
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		problem(w, http.StatusBadRequest, "bad_request", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.searches = append(s.searches, body)
	write(w, http.StatusOK, s.Result)
}

func (s *Server) reindex(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasPrefix(string(text), "{") {
		problem(w, http.StatusBadRequest, "bad_request", "want a JSON object")
		return
	}
	write(w, http.StatusAccepted, map[string]int{"documents": len(s.allJobs())})
}

func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": detail})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
