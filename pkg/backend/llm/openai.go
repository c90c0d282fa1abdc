package llm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/sashabaranov/go-openai"

	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
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
	Concurrency int           // most requests to one model in flight at once; 8
	Timeout     time.Duration // for each request; a minute

	// Urgent says that somebody waits for each answer: the provider's limits
	// a minute count these requests and do not delay them.
	Urgent bool

	Pace    Pace               // required
	Metrics *telemetry.Metrics // required
	Log     *slog.Logger       // required
}

// OpenAI is a provider that speaks the OpenAI protocol. It is safe for
// concurrent use, and its limits are shared by all users.
//
// Failures are fault.Errors: RateLimited and Unavailable carry RetryAfter, and
// may come without a request having been sent; BrokenAnswer is an answer that
// broke off, BadAnswer one that does not fit the question; Forbidden and
// BadRequest are permanent. When ctx ends, its error is returned.
type OpenAI struct {
	client      *openai.Client
	host        string
	key         string
	concurrency int
	timeout     time.Duration
	urgent      bool
	retry       failsafe.Executor[any]
	pace        Pace
	metrics     *telemetry.Metrics
	log         *slog.Logger

	mu    sync.Mutex
	lanes map[string]*lane // by model
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
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("provider's base URL %q: want http(s)://host[:port]/v1", redactURL(cfg.BaseURL))
	}

	client := openai.DefaultConfig(cfg.APIKey)
	client.BaseURL = cfg.BaseURL
	client.HTTPClient = newDoer(cfg.Concurrency)
	return &OpenAI{
		client:      openai.NewClientWithConfig(client),
		host:        base.Host,
		key:         cfg.APIKey,
		concurrency: cfg.Concurrency,
		timeout:     cfg.Timeout,
		urgent:      cfg.Urgent,
		retry:       failsafe.With(newRetryPolicy()),
		pace:        cfg.Pace,
		metrics:     cfg.Metrics,
		log:         cfg.Log,
		lanes:       map[string]*lane{},
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

// passing reports whether a failure may be over soon.
func passing(kind fault.Kind) bool {
	return kind == fault.Unavailable || kind == fault.RateLimited || kind == fault.BrokenAnswer
}

// newRetryPolicy retries what is likely to be over soon. A timeout is not: it
// would be another long wait.
func newRetryPolicy() retrypolicy.RetryPolicy[any] {
	const jitter = 0.2
	return retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool {
			e := fault.As(err)
			return e != nil && passing(e.Kind) && e.RetryAfter <= quickWait &&
				!errors.Is(err, errNotSent) && !errors.Is(err, context.DeadlineExceeded)
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

// call sends a request with so many bytes of text, again where that may help.
// send is one attempt; it leaves its result with the caller.
func (p *OpenAI) call(ctx context.Context, operation, model string, bytes int, send func(ctx context.Context, ex *exchange) error) error {
	lane := p.lane(model)
	err := p.retry.WithContext(ctx).RunWithExecution(func(exec failsafe.Execution[any]) error {
		err := p.attempt(ctx, lane, operation, bytes, send)
		if err != nil && !errors.Is(err, errNotSent) && !errors.Is(ctx.Err(), context.Canceled) {
			lane.log.WarnContext(ctx, "provider request failed", "operation", operation, "attempt", exec.Attempts(), "error", err)
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

func (p *OpenAI) attempt(ctx context.Context, lane *lane, operation string, bytes int, send func(ctx context.Context, ex *exchange) error) error {
	pass, err := lane.enter(ctx, bytes)
	if err != nil {
		return err
	}
	ex := &exchange{}
	start := time.Now()
	attemptCtx, cancel := context.WithTimeout(withExchange(ctx, ex), p.timeout)
	defer cancel()

	err = send(attemptCtx, ex)
	outcome := "ok"
	switch {
	case err == nil:
	case ctx.Err() != nil:
		outcome = "cancelled"
	default:
		err = p.classify(operation, err, ex.header)
		outcome = string(fault.KindOf(err))
	}
	p.metrics.ObserveCall(operation, lane.model, outcome, ex.tokens, time.Since(start))
	return pass.leave(ctx, err, ex)
}

// lane returns the one lane to a model.
func (p *OpenAI) lane(model string) *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lanes[model]
	if l == nil {
		l = p.newLane(model)
		p.lanes[model] = l
	}
	return l
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
