package llm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/sashabaranov/go-openai"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

const (
	defaultBaseURL           = "https://api.openai.com/v1"
	defaultConcurrency       = 8
	defaultTimeout           = time.Minute
	defaultTimeoutPerSection = 5 * time.Second

	// A call waits at most quickWait for a provider that asks for a pause, and retries at most
	// quickRetries times. Longer waits are left to the task, because they must not block a worker
	// or use up an attempt.
	quickRetries     = 2
	quickWait        = 2 * time.Second
	maxBackoffFactor = 10 // ratio of the longest back-off to the first

	defaultBackoff = 100 * time.Millisecond

	maxRedirects = 3
)

// OpenAIConfig configures NewOpenAI.
type OpenAIConfig struct {
	BaseURL           string         `zero:"ok"` // up to and including /v1, or an Azure address; default: OpenAI
	APIKey            string         `zero:"ok"` // not sent if empty
	APIVersion        string         `zero:"ok"` // of Azure's API; default: the version in BaseURL, or a stable one
	Concurrency       int            `zero:"ok"` // maximum number of requests to one model in flight; default 8
	Timeout           time.Duration  `zero:"ok"` // of each request; default one minute
	TimeoutPerSection time.Duration  `zero:"ok"` // added for each of several sections in one request; default 5 s
	Backoff           time.Duration  `zero:"ok"` // before the first retry; default 100 ms
	Dimensions        SendDimensions `zero:"ok"`

	// Urgent says that a person waits for each response: the requests count for the provider's
	// limits per minute, but are not delayed.
	Urgent bool `zero:"ok"`

	RateLimiter RateLimiter
	Metrics     *telemetry.Metrics
	Log         *slog.Logger
}

// OpenAI is a provider that speaks the OpenAI protocol. It is safe for concurrent use, and all its
// users share its limits.
//
// Failures are fault.Errors:
//   - InputRejected and InputTooLong are about the texts. The model accepts other texts. An invalid
//     response becomes one of these, unless the model returns such responses to other texts too.
//   - RateLimited, Unavailable and Misconfigured are about the provider or its configuration. They
//     have a RetryAfter, and may be returned without sending a request.
//   - InterruptedResponse is a response that broke off.
//
// If ctx ends, its error is returned.
type OpenAI struct {
	client            *openai.Client
	dimensions        SendDimensions
	host              string
	secrets           []string // must not be shown
	concurrency       int
	timeout           time.Duration
	timeoutPerSection time.Duration
	backoff           time.Duration
	urgent            bool
	retry             failsafe.Executor[any]
	rateLimiter       RateLimiter
	metrics           *telemetry.Metrics
	log               *slog.Logger

	mu       sync.Mutex
	limiters map[string]*limiter // by model
}

// NewOpenAI returns a provider, or an error that names what cfg lacks. It does not connect to it.
func NewOpenAI(cfg OpenAIConfig) (*OpenAI, error) {
	if err := required.Fields(cfg); err != nil {
		return nil, err
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.TimeoutPerSection <= 0 {
		cfg.TimeoutPerSection = defaultTimeoutPerSection
	}
	if cfg.Backoff <= 0 {
		cfg.Backoff = defaultBackoff
	}
	client, base, err := clientConfig(cfg)
	if err != nil {
		return nil, err
	}
	client.HTTPClient = newHTTPDoer(cfg.Concurrency)
	return &OpenAI{
		client:            openai.NewClientWithConfig(client),
		dimensions:        cfg.Dimensions,
		host:              base.Host,
		secrets:           secrets(cfg.APIKey, base),
		concurrency:       cfg.Concurrency,
		timeout:           cfg.Timeout,
		timeoutPerSection: cfg.TimeoutPerSection,
		backoff:           cfg.Backoff,
		urgent:            cfg.Urgent,
		retry:             failsafe.With(newRetryPolicy(cfg.Backoff)),
		rateLimiter:       cfg.RateLimiter,
		metrics:           cfg.Metrics,
		log:               cfg.Log,
		limiters:          map[string]*limiter{},
	}, nil
}

// secrets returns the strings that must not be shown.
func secrets(key string, base *url.URL) []string {
	password, _ := base.User.Password()
	return slices.DeleteFunc([]string{key, password}, func(s string) bool { return s == "" })
}

// isTransient reports whether a failure may end soon.
func isTransient(kind fault.Kind) bool {
	return kind == fault.Unavailable || kind == fault.RateLimited || kind == fault.InterruptedResponse
}

// newRetryPolicy retries failures that are likely to end soon. It does not retry a timeout, which
// would be another long wait.
func newRetryPolicy(backoff time.Duration) retrypolicy.RetryPolicy[any] {
	const jitter = 0.2
	return retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool {
			e := fault.As(err)
			return e != nil && isTransient(e.Kind) && e.RetryAfter <= quickWait &&
				!errors.Is(err, errNotSent) && !errors.Is(err, context.DeadlineExceeded)
		}).
		WithMaxRetries(quickRetries).
		WithBackoff(backoff, maxBackoffFactor*backoff).
		WithDelayFunc(func(exec failsafe.ExecutionAttempt[any]) time.Duration {
			if e := fault.As(exec.LastError()); e != nil && e.RetryAfter > 0 {
				// The wait must be long enough in spite of the jitter.
				return time.Duration(float64(e.RetryAfter) / (1 - jitter))
			}
			return -1 // use the back-off
		}).
		WithJitterFactor(jitter).
		ReturnLastFailure().
		Build()
}

// request is a request to a model.
type request struct {
	operation    string
	model        string
	texts        []string      // the response depends on them
	bytes        int           // length of the texts
	extraTimeout time.Duration // added to the usual timeout

	// send sends the request once and stores the result for the caller. probe does the same with a
	// short harmless text, and discards the result.
	send, probe func(ctx context.Context, ex *exchange) error
}

// call sends a request, and retries it if that may help. It distinguishes failures that the request
// caused from failures of the provider; see attributeFailure.
func (p *OpenAI) call(ctx context.Context, r request) error {
	l := p.limiter(r.model)
	for round := 0; ; round++ {
		failed := failedAttempts{since: l.snapshot()}
		err := p.retry.WithContext(ctx).RunWithExecution(func(exec failsafe.Execution[any]) error {
			err := p.attempt(ctx, l, r)
			failed.add(err)
			if err != nil && !errors.Is(err, errNotSent) && !errors.Is(ctx.Err(), context.Canceled) {
				l.log.WarnContext(ctx, "provider request failed", "operation", r.operation, "attempt", exec.Attempts(), "error", err)
			}
			return err
		})
		retry := false
		if err == nil || ctx.Err() == nil {
			retry, err = p.attributeFailure(ctx, l, r, err, failed)
		}
		if retry {
			err = sleep(ctx, p.backoff*time.Duration(min(1<<min(round, 10), maxBackoffFactor)))
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("%s with model %s: %w", r.operation, r.model, ctx.Err())
		case !retry:
			return err
		}
	}
}

// attempt sends a request once, when it may be sent. After a hold it sends a probe before the first
// request: a single bad text must not prolong the hold.
func (p *OpenAI) attempt(ctx context.Context, l *limiter, r request) error {
	permit, err := l.acquire(ctx, r.bytes)
	if err != nil {
		return err
	}
	if permit.try > 0 {
		if err := p.probe(ctx, l, r); err != nil {
			permit.slot.Drop()
			if ctx.Err() != nil {
				return err
			}
			return l.recordProviderFailures(ctx, asProviderFailure(err), 1, permit.try)
		}
	}
	ex := &exchange{}
	err = p.sendOnce(ctx, r.operation, r, r.send, ex)
	return permit.release(ctx, err, ex)
}

// sendOnce sends a request or a probe once.
func (p *OpenAI) sendOnce(ctx context.Context, operation string, r request, send func(context.Context, *exchange) error, ex *exchange) error {
	start := time.Now()
	bounded, cancel := context.WithTimeout(withExchange(ctx, ex), p.timeout+r.extraTimeout)
	defer cancel()
	err := send(bounded, ex)
	if ex.tokens > maxTokensOf(r.bytes) {
		ex.tokens = 0 // not a possible count
	}
	outcome := "ok"
	switch {
	case err == nil:
	case ctx.Err() != nil:
		outcome = "cancelled"
	default:
		err = p.classify(r.operation, r.model, err, ex.header)
		outcome = string(fault.KindOf(err))
	}
	p.metrics.ObserveProviderCall(operation, r.model, outcome, ex.tokens, time.Since(start))
	return err
}

// maxLimiters bounds the models that have a limiter, since reindexes name models. When there are
// more, all limiters are dropped.
const maxLimiters = 100

// limiter returns the limiter of a model.
func (p *OpenAI) limiter(model string) *limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.limiters[model]
	if l == nil {
		if len(p.limiters) >= maxLimiters {
			clear(p.limiters)
			p.metrics.ResetProviderMetrics()
		}
		l = p.newLimiter(model)
		p.limiters[model] = l
	}
	return l
}

// newHTTPDoer returns an HTTP client for many requests to one host.
func newHTTPDoer(concurrency int) *httpDoer {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = concurrency
	t.MaxIdleConnsPerHost = concurrency
	// Vectors hardly compress, and decompressing them would cost more than the network saves.
	t.DisableCompression = true
	t.ReadBufferSize = 64 << 10
	t.WriteBufferSize = 64 << 10
	return &httpDoer{client: &http.Client{Transport: t, CheckRedirect: checkRedirect}}
}

// checkRedirect follows a redirect that keeps the method and the host, for example one that adds a
// trailing slash. Any other redirect would lose the texts, or send them and the key to another
// host.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.Method != http.MethodPost || req.URL.Hostname() != first.Hostname() ||
		first.Scheme == "https" && req.URL.Scheme != "https" || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}
