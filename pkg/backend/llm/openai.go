package llm

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/sashabaranov/go-openai"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	defaultBaseURL     = "https://api.openai.com/v1"
	defaultConcurrency = 8
	defaultTimeout     = time.Minute

	// A call waits for a provider that wants at most quickWait of patience, at
	// most quickRetries times. Longer waits are the task's: they must not hold
	// a worker, nor use up an attempt.
	quickRetries = 2
	quickWait    = 2 * time.Second
	firstDelay   = 100 * time.Millisecond
	maxDelay     = time.Second
)

// OpenAIConfig is what NewOpenAI needs. Zero fields take the default.
type OpenAIConfig struct {
	BaseURL     string        // up to and with /v1; OpenAI's own by default
	APIKey      string        // sent as a bearer token; none is sent when empty
	Concurrency int           // requests in flight at once; 8
	Timeout     time.Duration // for each request; a minute
	Log         *slog.Logger  // told of retries; required

	// Observe is told of every request: the operation (embed or summarise),
	// the outcome (ok, cancelled, or the fault's kind), and the tokens that
	// the provider counted. May be nil.
	Observe func(operation, model, outcome string, tokens int, d time.Duration)
}

// OpenAI is a provider that speaks the OpenAI protocol. It is safe for
// concurrent use, and its limit of requests in flight is shared by all users.
//
// Failures are fault.Errors: RateLimited and Unavailable carry RetryAfter;
// BadAnswer is an answer that does not fit the question; Forbidden and
// BadRequest are permanent. When ctx ends, its error is returned.
type OpenAI struct {
	client  *openai.Client
	host    string
	key     string
	timeout time.Duration
	slots   chan struct{}
	retry   failsafe.Executor[any]
	log     *slog.Logger
	observe func(operation, model, outcome string, tokens int, d time.Duration)
}

// NewOpenAI returns a provider. It sends nothing yet.
func NewOpenAI(cfg OpenAIConfig) (*OpenAI, error) {
	if cfg.BaseURL == "" {
		cfg.BaseURL = defaultBaseURL
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string, string, int, time.Duration) {}
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("provider's base URL %q: want http(s)://host[:port]/v1", redactURL(cfg.BaseURL))
	}

	client := openai.DefaultConfig(cfg.APIKey)
	client.BaseURL = cfg.BaseURL
	client.HTTPClient = newDoer(cfg.Concurrency)
	return &OpenAI{
		client:  openai.NewClientWithConfig(client),
		host:    base.Host,
		key:     cfg.APIKey,
		timeout: cfg.Timeout,
		slots:   make(chan struct{}, cfg.Concurrency),
		retry:   failsafe.With(newRetryPolicy()),
		log:     cfg.Log,
		observe: cfg.Observe,
	}, nil
}

// redactURL hides what a mistyped URL may hold of a password.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	return u.Redacted()
}

// newRetryPolicy retries what is likely to be over soon.
func newRetryPolicy() retrypolicy.RetryPolicy[any] {
	const jitter = 0.2
	return retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool {
			e := fault.As(err)
			return e != nil && (e.Kind == fault.Unavailable || e.Kind == fault.RateLimited) && e.RetryAfter <= quickWait
		}).
		WithMaxRetries(quickRetries).
		WithBackoff(firstDelay, maxDelay).
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

// call sends a request, again where that may help, within the limit of
// requests in flight. The slot is held while waiting to try again: others
// would only meet the same trouble. send is one attempt; it leaves its result
// with the caller.
func (p *OpenAI) call(ctx context.Context, operation, model string, send func(ctx context.Context, ex *exchange) error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return fmt.Errorf("%s with model %s: %w", operation, model, ctx.Err())
	}
	err := p.retry.WithContext(ctx).RunWithExecution(func(exec failsafe.Execution[any]) error {
		err := p.attempt(ctx, operation, model, exec.Attempts(), send)
		if err != nil {
			p.log.WarnContext(ctx, "provider request failed", "operation", operation, "model", model,
				"attempt", exec.Attempts(), "error", err)
		}
		return err
	})
	switch e := fault.As(err); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s with model %s: %w", operation, model, ctx.Err())
	case e != nil && e.Kind == fault.Unavailable && e.RetryAfter == 0:
		return e.After(unavailableWait)
	default:
		return err
	}
}

func (p *OpenAI) attempt(ctx context.Context, operation, model string, attempt int, send func(ctx context.Context, ex *exchange) error) error {
	ex := &exchange{}
	start := time.Now()
	attemptCtx, cancel := context.WithTimeout(withExchange(ctx, ex), p.timeout)
	defer cancel()

	err := send(attemptCtx, ex)
	outcome := "ok"
	switch {
	case err == nil:
	case ctx.Err() != nil:
		outcome = "cancelled"
	default:
		err = p.classify(operation, err, ex.header, attempt)
		outcome = string(fault.KindOf(err))
	}
	p.observe(operation, model, outcome, ex.tokens, time.Since(start))
	return err
}

// newDoer returns an HTTP client made for many requests to one host.
func newDoer(concurrency int) *doer {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = concurrency
	t.MaxIdleConnsPerHost = concurrency
	// Vectors hardly compress, and unpacking them would cost more than the
	// network saves.
	t.DisableCompression = true
	t.ReadBufferSize = 64 << 10
	t.WriteBufferSize = 64 << 10
	return &doer{client: &http.Client{Transport: t}}
}
