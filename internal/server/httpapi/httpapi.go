// Package httpapi is Gristmill's HTTP face: it turns requests into calls of
// the steps and stores, and what they answer into JSON, or into
// application/problem+json when it is a failure. The contract it serves is
// described at /openapi.json, from the same Go types.
package httpapi

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Config is what the HTTP API needs.
type Config struct {
	Uploader      Uploader
	Searcher      Searcher
	Reindexer     Reindexer
	Reindexes     Reindexes
	Documents     Documents
	Collections   Collections
	Jobs          Jobs
	JobController JobController
	WebhookAdder  WebhookAdder
	Webhooks      Webhooks
	Originals     Originals
	Progress      Progress

	Health  http.Handler // answers /healthz, /readyz and /metrics
	Metrics Metrics
	Log     *slog.Logger

	// APIKey is the one bearer key; empty lets everybody on this machine in, so
	// the server must then listen on loopback only. See checkOrigin.
	APIKey string `zero:"ok"`

	// DefaultSummaryMode says when documents are summarised of collections for which that
	// is not set.
	DefaultSummaryMode document.SummaryMode

	// MaxUploadBytes is the size over which an upload is refused by its
	// declared length. The uploader refuses one that turns out to be larger.
	MaxUploadBytes int64

	// BodyTimeout is how long a request body may take for each 16 KiB, and for
	// what is left at its end, before the request is given up; a minute if zero.
	// There is no limit on the whole upload.
	BodyTimeout time.Duration `zero:"ok"`

	// Stopping, once closed, ends requests that wait for a job or a reindex, or
	// follow one, so that the server can stop.
	Stopping <-chan struct{} `zero:"ok"`
}

// Metrics counts requests. Route is the pattern that matched, so that its
// values are few.
type Metrics interface {
	ObserveRequest(route, method string, status int, d time.Duration)
}

// server answers requests: mux finds the handler, api describes it.
type server struct {
	Config
	mux          *http.ServeMux
	api          huma.API
	authenticate authenticator
	crossOrigin  *http.CrossOriginProtection
}

// New returns the handler of the complete contract, or an error that names what config lacks.
func New(config Config) (http.Handler, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	if config.BodyTimeout == 0 {
		config.BodyTimeout = time.Minute
	}
	s := &server{Config: config, mux: http.NewServeMux(), authenticate: staticKey(config.APIKey), crossOrigin: http.NewCrossOriginProtection()}
	s.api = newAPI(s.mux)
	s.routeUploads()
	s.routeDocuments()
	s.routeContent()
	s.routeCollections()
	s.routeJobs()
	s.routeSearch()
	s.routeReindexes()
	s.routeWebhooks()
	s.routeHealth()
	s.routeOpenAPI() // last: it describes all the others
	return s, nil
}
