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
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

const (
	defaultBaseURL           = "https://api.openai.com/v1"
	defaultConcurrency       = 8
	defaultTimeout           = time.Minute
	defaultTimeoutPerSection = 5 * time.Second

	// A call waits for a provider that wants at most quickWait of patience, at
	// most quickRetries times. Longer waits are the task's: they must not hold
	// a worker, nor use up an attempt.
	quickRetries     = 2
	quickWait        = 2 * time.Second
	maxBackoffFactor = 10 // from the first to the longest

	defaultBackoff = 100 * time.Millisecond

	maxRedirects = 3
)

// OpenAIConfig is what NewOpenAI needs. Zero fields take the default.
type OpenAIConfig struct {
	BaseURL           string        // up to and with /v1, or of Azure; OpenAI's own by default
	APIKey            string        // none is sent when empty
	APIVersion        string        // of Azure's interface; what BaseURL names, or a stable one
	Concurrency       int           // most requests to one model in flight at once; 8
	Timeout           time.Duration // for each request; a minute
	TimeoutPerSection time.Duration // more for each of several sections that one request summarises; 5 s
	Backoff           time.Duration // before a request is first sent again; 100 ms
	Dimensions        SendDimensions

	// Urgent says that somebody waits for each answer: the provider's limits
	// a minute count these requests and do not delay them.
	Urgent bool

	RateLimiter RateLimiter        // required
	Metrics     *telemetry.Metrics // required
	Log         *slog.Logger       // required
}

// OpenAI is a provider that speaks the OpenAI protocol. It is safe for
// concurrent use, and its limits are shared by all users.
//
// Failures are fault.Errors:
//   - Refused and TooLong are about the texts. The model takes others.
//   - RateLimited, Unavailable and Misconfigured are about the provider or how
//     it is configured. They carry RetryAfter, and may come without a request
//     having been sent.
//   - BrokenAnswer is an answer that broke off. One that does not fit the
//     question is about the texts, or about the provider where that is what it
//     answers to others too.
//
// When ctx ends, its error is returned.
type OpenAI struct {
	client            *openai.Client
	dimensions        SendDimensions
	host              string
	secrets           []string // never shown
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

// NewOpenAI returns a provider. It sends nothing yet.
func NewOpenAI(cfg OpenAIConfig) (*OpenAI, error) {
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

// secrets returns what must never be shown.
func secrets(key string, base *url.URL) []string {
	password, _ := base.User.Password()
	return slices.DeleteFunc([]string{key, password}, func(s string) bool { return s == "" })
}

// isTransient reports whether a failure may be over soon.
func isTransient(kind fault.Kind) bool {
	return kind == fault.Unavailable || kind == fault.RateLimited || kind == fault.InterruptedResponse
}

// newRetryPolicy retries what is likely to be over soon. A timeout is not: it
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
				// Long enough for jitter never to be too early.
				return time.Duration(float64(e.RetryAfter) / (1 - jitter))
			}
			return -1 // back off
		}).
		WithJitterFactor(jitter).
		ReturnLastFailure().
		Build()
}

// request is a question to a model.
type request struct {
	operation    string
	model        string
	texts        []string      // what the answer depends on
	bytes        int           // of text
	extraTimeout time.Duration // that the answer may take, beyond the usual timeout

	// send sends it once and leaves the result with the caller. probe does the
	// same for a short harmless text and no result.
	send, probe func(ctx context.Context, ex *exchange) error
}

// call sends a request, again where that may help. A failure that may be the
// request's own is told from one of the provider; see isolate.
func (p *OpenAI) call(ctx context.Context, r request) error {
	lane := p.limiter(r.model)
	for round := 0; ; round++ {
		failed := failedAttempts{since: lane.snapshot()}
		err := p.retry.WithContext(ctx).RunWithExecution(func(exec failsafe.Execution[any]) error {
			err := p.attempt(ctx, lane, r)
			failed.add(err)
			if err != nil && !errors.Is(err, errNotSent) && !errors.Is(ctx.Err(), context.Canceled) {
				lane.log.WarnContext(ctx, "provider request failed", "operation", r.operation, "attempt", exec.Attempts(), "error", err)
			}
			return err
		})
		again := false
		if err == nil || ctx.Err() == nil {
			again, err = p.attributeFailure(ctx, lane, r, err, failed)
		}
		if again {
			err = sleep(ctx, p.backoff*time.Duration(min(1<<min(round, 10), maxBackoffFactor)))
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("%s with model %s: %w", r.operation, r.model, ctx.Err())
		case !again:
			return err
		}
	}
}

// attempt sends a request once, when it may be sent. The first one after a
// hold goes after a probe: what is wrong with one text must not keep the model
// held.
func (p *OpenAI) attempt(ctx context.Context, lane *limiter, r request) error {
	pass, err := lane.acquire(ctx, r.bytes)
	if err != nil {
		return err
	}
	if pass.try > 0 {
		if err := p.probe(ctx, lane, r); err != nil {
			pass.slot.Drop()
			if ctx.Err() != nil {
				return err
			}
			return lane.recordProviderFailures(ctx, asProviderFailure(err), 1, pass.try)
		}
	}
	ex := &exchange{}
	err = p.sendOnce(ctx, r.operation, r, r.send, ex)
	return pass.release(ctx, err, ex)
}

// sendOnce sends something once.
func (p *OpenAI) sendOnce(ctx context.Context, operation string, r request, send func(context.Context, *exchange) error, ex *exchange) error {
	start := time.Now()
	bounded, cancel := context.WithTimeout(withExchange(ctx, ex), p.timeout+r.extraTimeout)
	defer cancel()
	err := send(bounded, ex)
	if ex.tokens > maxTokensOf(r.bytes) {
		ex.tokens = 0 // not what it has counted
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

// maxLimiters is how many models are known at a time, since reindexes name models:
// of more, all are met anew.
const maxLimiters = 100

// limiter returns the one lane to a model.
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

// newHTTPDoer returns an HTTP client made for many requests to one host.
func newHTTPDoer(concurrency int) *httpDoer {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = concurrency
	t.MaxIdleConnsPerHost = concurrency
	// Vectors hardly compress, and unpacking them would cost more than the
	// network saves.
	t.DisableCompression = true
	t.ReadBufferSize = 64 << 10
	t.WriteBufferSize = 64 << 10
	return &httpDoer{client: &http.Client{Transport: t, CheckRedirect: checkRedirect}}
}

// checkRedirect follows a redirect that keeps the request as it is and within
// the host, as frameworks answer for the sake of a slash. Any other one would
// lose the texts on the way, or take them and the key to somebody else.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.Method != http.MethodPost || req.URL.Hostname() != first.Hostname() ||
		first.Scheme == "https" && req.URL.Scheme != "https" || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}
