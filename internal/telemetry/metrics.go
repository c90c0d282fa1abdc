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

// Metrics are the metrics of one process. They have a registry of their own, so that several
// processes can run in one program, as in dev mode and tests.
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

// NewMetrics returns metrics whose values are zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_http_requests_total",
			Help: "HTTP requests answered.",
		}, []string{"route", "method", "status"}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gristmill_http_request_seconds",
			Help:    "Time from the end of the request header to the end of the response.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 12),
		}, []string{"route", "method"}),
		tasks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_tasks_total",
			Help: "Attempts at tasks, by kind and outcome: done, fail, retry, wait, cancel, lost.",
		}, []string{"kind", "outcome"}),
		stageSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gristmill_stage_seconds",
			Help:    "Time of a stage of a task: lookup, embed and write of a batch, publish of a document.",
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
			Help: "Tokens used, as the provider counts them.",
		}, []string{"operation", "model"}),
		providerWaits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_provider_waits_total",
			Help: "Requests to a model that could not be sent immediately: waited, or refused so that the task waits instead.",
		}, []string{"model", "how"}),
		providerHeld: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gristmill_provider_held",
			Help: "1 while a model is held, that is, gets no requests because its provider asked for a pause, is down or is misconfigured, as last seen by this process.",
		}, []string{"model"}),
		providerConcurrency: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gristmill_provider_concurrency",
			Help: "Adaptive limit of concurrent requests to a model.",
		}, []string{"model"}),
		passages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_passages_total",
			Help: "Passages written, by whether they were embedded or reused.",
		}, []string{"how"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_webhook_deliveries_total",
			Help: "Attempts at webhook deliveries, by state of the delivery: delivered, pending (to be retried), failed.",
		}, []string{"outcome"}),
		verifiedDocuments: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gristmill_verified_documents_total",
			Help: "Documents that the background verification compared with their stored data.",
		}),
		verifiedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gristmill_verified_bytes_total",
			Help: "Bytes of originals that the background verification read.",
		}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gristmill_verify_findings_total",
			Help: "Problems that the background verification found, by kind.",
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

// ObserveRequest counts one answered HTTP request. route is the pattern of the path, not the path
// itself.
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

// ObserveProviderWait counts one request to a model that could not be sent immediately: it waited
// or was refused.
func (m *Metrics) ObserveProviderWait(model, how string) {
	m.providerWaits.WithLabelValues(model, how).Inc()
}

// ObserveProviderHeld records whether a model is held.
func (m *Metrics) ObserveProviderHeld(model string, held bool) {
	value := 0.0
	if held {
		value = 1
	}
	m.providerHeld.WithLabelValues(model).Set(value)
}

// ObserveProviderConcurrency records the limit of concurrent requests to a model.
func (m *Metrics) ObserveProviderConcurrency(model string, limit int) {
	m.providerConcurrency.WithLabelValues(model).Set(float64(limit))
}

// ResetProviderMetrics drops the metrics of all models. They start again at zero, as after a
// restart of the process.
func (m *Metrics) ResetProviderMetrics() {
	for _, figures := range []interface{ Reset() }{m.providerCalls, m.providerCallSeconds, m.providerTokens, m.providerWaits, m.providerHeld, m.providerConcurrency} {
		figures.Reset()
	}
}

// ObservePassages counts the passages of a written batch.
func (m *Metrics) ObservePassages(embedded, reused int) {
	m.passages.WithLabelValues("embedded").Add(float64(embedded))
	m.passages.WithLabelValues("reused").Add(float64(reused))
}

// ObserveDelivery counts one attempt at a delivery to a webhook.
func (m *Metrics) ObserveDelivery(outcome string) {
	m.deliveries.WithLabelValues(outcome).Inc()
}

// ObserveVerifiedDocuments counts documents that were compared with their stored data, and the
// bytes of their originals.
func (m *Metrics) ObserveVerifiedDocuments(documents, bytes int64) {
	m.verifiedDocuments.Add(float64(documents))
	m.verifiedBytes.Add(float64(bytes))
}

// ObserveFinding counts one problem that the verification found.
func (m *Metrics) ObserveFinding(kind string) { m.findings.WithLabelValues(kind).Inc() }

// QueueDepth is the number of tasks in a queue, and how long its oldest waiting task has waited to
// start.
type QueueDepth struct {
	Queue     string
	Tasks     int
	OldestAge time.Duration
}

// RegisterQueues registers metrics of the depth of the queues, which every scrape reads. If depth
// fails, the scrape has no queue metrics.
func (m *Metrics) RegisterQueues(depth func(ctx context.Context) ([]QueueDepth, error)) {
	m.registry.MustRegister(queueCollector{depth})
}

var (
	queueTasks = prometheus.NewDesc("gristmill_queue_tasks", "Tasks in the queue: waiting, scheduled or active.", []string{"queue"}, nil)
	queueAge   = prometheus.NewDesc("gristmill_queue_age_seconds", "Waiting time of the oldest waiting task.", []string{"queue"}, nil)
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

// PoolStats is the state of a pool of database connections.
type PoolStats struct {
	Name             string
	InUse, Idle, Max int
	WaitCount        int64         // waits for a connection, since the start
	WaitDuration     time.Duration // total time of these waits
}

// RegisterPools registers metrics of connection pools, which every scrape reads.
func (m *Metrics) RegisterPools(pools func() []PoolStats) {
	m.registry.MustRegister(poolCollector{pools})
}

var (
	poolConnections = prometheus.NewDesc("gristmill_database_connections", "Connections to the database, by pool and state: in_use, idle, or max (the limit).", []string{"pool", "state"}, nil)
	poolWaits       = prometheus.NewDesc("gristmill_database_waits_total", "Waits for a connection to the database.", []string{"pool"}, nil)
	poolWaitSeconds = prometheus.NewDesc("gristmill_database_wait_seconds_total", "Total time of waits for a connection to the database.", []string{"pool"}, nil)
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
