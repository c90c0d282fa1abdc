package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the counters of one process. They live in a registry of their
// own, so that several processes can run in one, as dev mode and tests do.
type Metrics struct {
	registry *prometheus.Registry

	requests            *prometheus.CounterVec
	requestSeconds      *prometheus.HistogramVec
	tasks               *prometheus.CounterVec
	stageSeconds        *prometheus.HistogramVec
	providerCalls       *prometheus.CounterVec
	providerCallSeconds *prometheus.HistogramVec
	providerTokens      *prometheus.CounterVec
	providerWaits       *prometheus.CounterVec
	providerHeld        *prometheus.GaugeVec
	providerConcurrency *prometheus.GaugeVec
	passages            *prometheus.CounterVec
	deliveries          *prometheus.CounterVec
	verifiedDocuments   prometheus.Counter
	verifiedBytes       prometheus.Counter
	findings            *prometheus.CounterVec
}

// NewMetrics returns metrics with everything at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_http_requests_total",
			Help: "HTTP requests answered.",
		}, []string{"route", "method", "status"}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gristmill_http_request_seconds",
			Help:    "Time from a request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 12),
		}, []string{"route", "method"}),
		tasks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_tasks_total",
			Help: "Attempts at tasks, by kind and by what became of them: done, fail, retry, wait, cancel, lost.",
		}, []string{"kind", "outcome"}),
		stageSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gristmill_stage_seconds",
			Help:    "Time spent in a stage of a task: a batch's lookup, embed and write, a document's publish.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 12),
		}, []string{"stage"}),
		providerCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_provider_calls_total",
			Help: "Calls to a model, by operation (embed, summarise), model and outcome.",
		}, []string{"operation", "model", "outcome"}),
		providerCallSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gristmill_provider_call_seconds",
			Help:    "Time of a call to a model.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 12),
		}, []string{"operation", "model"}),
		providerTokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_provider_tokens_total",
			Help: "Tokens that the provider counted.",
		}, []string{"operation", "model"}),
		providerWaits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_provider_waits_total",
			Help: "Requests to a model that were not sent at once: waited, or refused because the wait is the task's.",
		}, []string{"model", "how"}),
		providerHeld: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gristmill_provider_held",
			Help: "1 while a model is held, that is not asked, because its provider said so, is down or is not configured right, as this process last saw it.",
		}, []string{"model"}),
		providerConcurrency: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gristmill_provider_concurrency",
			Help: "Requests to a model that may be in flight, as adapted.",
		}, []string{"model"}),
		passages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_passages_total",
			Help: "Passages placed, by whether they were embedded or reused.",
		}, []string{"how"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_webhook_deliveries_total",
			Help: "Attempts at deliveries to webhooks, by what became of the delivery: delivered, pending (to be tried again), failed.",
		}, []string{"outcome"}),
		verifiedDocuments: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gristmill_verified_documents_total",
			Help: "Documents that were compared with what is stored of them, in the background.",
		}),
		verifiedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gristmill_verified_bytes_total",
			Help: "Bytes of their originals.",
		}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_verify_findings_total",
			Help: "What was found wrong with them, by kind.",
		}, []string{"kind"}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.requestSeconds, m.tasks, m.stageSeconds, m.providerCalls, m.providerCallSeconds, m.providerTokens, m.providerWaits, m.providerHeld, m.providerConcurrency, m.passages, m.deliveries, m.verifiedDocuments, m.verifiedBytes, m.findings,
	)
	return m
}

// Handler serves the metrics in the Prometheus text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// ObserveRequest counts one answered HTTP request. Route is its pattern, not
// its path.
func (m *Metrics) ObserveRequest(route, method string, status int, d time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.requestSeconds.WithLabelValues(route, method).Observe(d.Seconds())
}

// ObserveTask counts one attempt at a task.
func (m *Metrics) ObserveTask(kind, outcome string) {
	m.tasks.WithLabelValues(kind, outcome).Inc()
}

// ObserveStage records the time since start as spent in a stage.
func (m *Metrics) ObserveStage(stage string, start time.Time) {
	m.stageSeconds.WithLabelValues(stage).Observe(time.Since(start).Seconds())
}

// ObserveProviderCall counts one call to a model.
func (m *Metrics) ObserveProviderCall(operation, model, outcome string, tokens int, d time.Duration) {
	m.providerCalls.WithLabelValues(operation, model, outcome).Inc()
	m.providerCallSeconds.WithLabelValues(operation, model).Observe(d.Seconds())
	m.providerTokens.WithLabelValues(operation, model).Add(float64(tokens))
}

// ObserveProviderWait counts one request to a model that was not sent at once: it
// waited or was refused.
func (m *Metrics) ObserveProviderWait(model, how string) {
	m.providerWaits.WithLabelValues(model, how).Inc()
}

// ObserveProviderHeld notes whether a model is held.
func (m *Metrics) ObserveProviderHeld(model string, held bool) {
	value := 0.0
	if held {
		value = 1
	}
	m.providerHeld.WithLabelValues(model).Set(value)
}

// ObserveProviderConcurrency notes how many requests to a model may be in flight.
func (m *Metrics) ObserveProviderConcurrency(model string, limit int) {
	m.providerConcurrency.WithLabelValues(model).Set(float64(limit))
}

// ResetProviderMetrics drops the figures of all models. Those that are asked again begin
// anew, as after a restart of the process.
func (m *Metrics) ResetProviderMetrics() {
	for _, figures := range []interface{ Reset() }{m.providerCalls, m.providerCallSeconds, m.providerTokens, m.providerWaits, m.providerHeld, m.providerConcurrency} {
		figures.Reset()
	}
}

// ObservePassages counts passages placed.
func (m *Metrics) ObservePassages(embedded, reused int) {
	m.passages.WithLabelValues("embedded").Add(float64(embedded))
	m.passages.WithLabelValues("reused").Add(float64(reused))
}

// ObserveDelivery counts one attempt at a delivery to a webhook.
func (m *Metrics) ObserveDelivery(outcome string) {
	m.deliveries.WithLabelValues(outcome).Inc()
}

// ObserveVerifiedDocuments counts documents that were compared with what is stored of
// them, and the bytes of their originals.
func (m *Metrics) ObserveVerifiedDocuments(documents, bytes int64) {
	m.verifiedDocuments.Add(float64(documents))
	m.verifiedBytes.Add(float64(bytes))
}

// ObserveFinding counts one thing that was found wrong.
func (m *Metrics) ObserveFinding(kind string) { m.findings.WithLabelValues(kind).Inc() }

// QueueDepth is how many tasks a queue holds and how long the oldest has
// waited to be begun.
type QueueDepth struct {
	Queue     string
	Tasks     int
	OldestAge time.Duration
}

// RegisterQueues has every scrape ask for the depth of the queues. A queue that
// cannot be asked is left out of that scrape.
func (m *Metrics) RegisterQueues(depth func(ctx context.Context) ([]QueueDepth, error)) {
	m.registry.MustRegister(queueCollector{depth})
}

var (
	queueTasks = prometheus.NewDesc("gristmill_queue_tasks", "Tasks in the queue: waiting, scheduled and active.", []string{"queue"}, nil)
	queueAge   = prometheus.NewDesc("gristmill_queue_age_seconds", "How long the oldest waiting task has waited.", []string{"queue"}, nil)
)

type queueCollector struct {
	depth func(ctx context.Context) ([]QueueDepth, error)
}

func (c queueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- queueTasks
	ch <- queueAge
}

func (c queueCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	queues, err := c.depth(ctx)
	if err != nil {
		return
	}
	for _, q := range queues {
		ch <- prometheus.MustNewConstMetric(queueTasks, prometheus.GaugeValue, float64(q.Tasks), q.Queue)
		ch <- prometheus.MustNewConstMetric(queueAge, prometheus.GaugeValue, q.OldestAge.Seconds(), q.Queue)
	}
}

// PoolStats is what is known of a pool of connections to the database.
type PoolStats struct {
	Name             string
	InUse, Idle, Max int
	WaitCount        int64         // for a connection
	WaitDuration     time.Duration // in all
}

// RegisterPools has every scrape ask for the state of the pools.
func (m *Metrics) RegisterPools(pools func() []PoolStats) {
	m.registry.MustRegister(poolCollector{pools})
}

var (
	poolConnections = prometheus.NewDesc("gristmill_database_connections", "Connections to the database, by pool and state: in_use, idle, or max that there may be.", []string{"pool", "state"}, nil)
	poolWaits       = prometheus.NewDesc("gristmill_database_waits_total", "Waits for a connection to the database.", []string{"pool"}, nil)
	poolWaitSeconds = prometheus.NewDesc("gristmill_database_wait_seconds_total", "Time spent in these waits.", []string{"pool"}, nil)
)

type poolCollector struct {
	pools func() []PoolStats
}

func (c poolCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- poolConnections
	ch <- poolWaits
	ch <- poolWaitSeconds
}

func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range c.pools() {
		for state, n := range map[string]int{"in_use": p.InUse, "idle": p.Idle, "max": p.Max} {
			ch <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(n), p.Name, state)
		}
		ch <- prometheus.MustNewConstMetric(poolWaits, prometheus.CounterValue, float64(p.WaitCount), p.Name)
		ch <- prometheus.MustNewConstMetric(poolWaitSeconds, prometheus.CounterValue, p.WaitDuration.Seconds(), p.Name)
	}
}
