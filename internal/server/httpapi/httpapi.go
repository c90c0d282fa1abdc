// Package httpapi is the HTTP API of Gristmill. It turns requests into calls of steps and stores, and
// their results into JSON; errors become application/problem+json. /openapi.json describes the
// contract, generated from the same Go types.
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

	// APIKey is the bearer key that requests must have. If it is empty, every user of this machine has
	// access, and the server must listen on loopback only. See checkOrigin.
	APIKey string `zero:"ok"`

	// DefaultSummaryMode is the summary mode of collections without a mode of their own.
	DefaultSummaryMode document.SummaryMode

	// MaxUploadBytes is the maximum declared length of an upload. The uploader refuses a body that
	// turns out to be larger.
	MaxUploadBytes int64

	// BodyTimeout is the time limit for each 16 KiB of a request body, and for the rest at its end;
	// 0 means one minute. There is no limit for the complete body.
	BodyTimeout time.Duration `zero:"ok"`

	// Stopping, when closed, ends requests that wait for a job or reindex, or follow one, so that the
	// server can stop. If nil, they are not ended early.
	Stopping <-chan struct{} `zero:"ok"`
}

// Metrics counts requests. route is the pattern that matched, so that it has few values.
type Metrics interface {
	ObserveRequest(route, method string, status int, d time.Duration)
}

// server answers requests. mux finds the handler, and api describes it.
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
	s.routeOpenAPI() // last: it describes all other routes
	return s, nil
}
