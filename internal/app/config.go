// Package app joins the backends, the steps and the HTTP API into the programs of Gristmill. It has
// the configuration, and a run function for each process.
package app

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/backend/webhook"
	"github.com/seed-7a112592/gristmill/internal/pipeline/ingest"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Config is the configuration of every process. It is read from environment variables with the
// prefix GRISTMILL_. docs/configuration.md repeats the doc tags; a test compares them.
type Config struct {
	Addr   string `env:"ADDR" envDefault:"127.0.0.1:8080" doc:"address that the process listens on: the API, or a worker's health and metrics"`
	APIKey string `env:"API_KEY" doc:"bearer key that every request must have; without it the API listens on loopback only"`

	DatabaseURL         string `env:"DATABASE_URL" doc:"address of PostgreSQL with the application role, which row-level security binds"`
	DirectDatabaseURL   string `env:"DATABASE_DIRECT_URL" doc:"the same role without a connection pooler such as PgBouncer, where GRISTMILL_DATABASE_URL leads through one: a few connections hold locks for longer than a transaction"`
	DatabaseConnections int    `env:"DATABASE_CONNECTIONS" envDefault:"10" doc:"maximum number of PostgreSQL connections of each process for transactions; up to 8 more hold sessions, usually 0 to 3"`
	IndexDatabaseURL    string `env:"INDEX_DATABASE_URL" doc:"address of PostgreSQL with the role that builds vector indexes; only worker-knowledge and gristmill migrate use it; without it no index is built, and large spaces are searched exactly"`
	MigrateDatabaseURL  string `env:"MIGRATE_DATABASE_URL" doc:"address of PostgreSQL with the role that owns the tables; only gristmill migrate uses it"`
	RedisURL            string `env:"REDIS_URL" doc:"address of Redis, for the queue and for progress, such as redis://127.0.0.1:6379/0"`

	S3Endpoint  string `env:"S3_ENDPOINT" doc:"address of the object storage, such as http://127.0.0.1:9000"`
	S3AccessKey string `env:"S3_ACCESS_KEY" doc:"access key of the object storage"`
	S3SecretKey string `env:"S3_SECRET_KEY" doc:"secret key of the object storage"`
	S3Bucket    string `env:"S3_BUCKET" envDefault:"gristmill" doc:"bucket of the originals; created if it is missing"`
	S3Region    string `env:"S3_REGION" envDefault:"us-east-1" doc:"region of the bucket"`

	OpenAIBaseURL        string        `env:"OPENAI_BASE_URL" doc:"base URL of an OpenAI-compatible provider, such as http://127.0.0.1:11434/v1; without it and without a key the local models are used"`
	OpenAIAPIKey         string        `env:"OPENAI_API_KEY" doc:"key of the provider"`
	OpenAIAPIVersion     string        `env:"OPENAI_API_VERSION" doc:"version of the provider's API, for Azure OpenAI and servers with its kind of address; by default the version in the base URL, or a stable one"`
	EmbeddingModel       string        `env:"EMBEDDING_MODEL" doc:"embedding model of collections without passages; by default text-embedding-3-small with a provider, local without one"`
	EmbeddingDimensions  int           `env:"EMBEDDING_DIMENSIONS" doc:"length of its vectors; by default the provider is asked for it, and it is 512 without a provider"`
	SendDimensions       string        `env:"EMBEDDING_SEND_DIMENSIONS" envDefault:"auto" doc:"whether requests ask the provider for vectors of that length: always, never, or auto, which does so for text-embedding-3 models"`
	EmbeddingBatch       int           `env:"EMBEDDING_BATCH" envDefault:"64" doc:"maximum number of passages in one request to the provider, and in one write of an upload"`
	EmbeddingBatchTokens int           `env:"EMBEDDING_BATCH_TOKENS" envDefault:"32000" doc:"approximate maximum number of tokens in one request to the provider"`
	EmbeddingConcurrency int           `env:"EMBEDDING_CONCURRENCY" envDefault:"16" doc:"maximum number of requests to one model in flight, embedding or chat, for each process; fewer while more only take longer"`
	ProviderTimeout      time.Duration `env:"PROVIDER_TIMEOUT" envDefault:"1m" doc:"time limit of one request to a model"`
	SearchTimeout        time.Duration `env:"SEARCH_TIMEOUT" envDefault:"800ms" doc:"how long a search waits for its question's embedding before it answers 503; the request to the model continues, and its answer serves the same search for a minute"`

	Summaries          string `env:"SUMMARIES" envDefault:"model" doc:"when documents are summarised, in collections without a setting of their own: model (after each upload), on_demand (on request) or off"`
	SummaryModel       string `env:"SUMMARY_MODEL" doc:"chat model that summarises; without it summaries are extractive"`
	SummaryBaseURL     string `env:"SUMMARY_BASE_URL" doc:"base URL of the chat model's provider, if it is not the provider of the embeddings"`
	SummaryAPIKey      string `env:"SUMMARY_API_KEY" doc:"key of the chat model's provider, if it is not the provider of the embeddings"`
	SummaryAPIVersion  string `env:"SUMMARY_API_VERSION" doc:"version of the API of the chat model's provider, if it is not the provider of the embeddings"`
	SummaryConcurrency int    `env:"SUMMARY_CONCURRENCY" envDefault:"4" doc:"maximum number of requests for the summaries of one document in flight"`
	SummaryBatchTokens int    `env:"SUMMARY_BATCH_TOKENS" envDefault:"12000" doc:"approximate maximum number of a document's tokens in one request for summaries; 0 for one section in each request"`

	ChunkTokens        int                `env:"CHUNK_TOKENS" envDefault:"400" doc:"maximum number of tokens (cl100k_base) of a passage, in collections without passages"`
	ChunkOverlap       int                `env:"CHUNK_OVERLAP" envDefault:"0" doc:"number of tokens that a passage repeats of the previous one, in collections without passages"`
	ReindexConcurrency int                `env:"REINDEX_CONCURRENCY" envDefault:"4" doc:"number of requests to the provider that one reindex has in flight; what they embed is written together, and is the most that a crash can lose"`
	ReindexSoak        time.Duration      `env:"REINDEX_SOAK" envDefault:"24h" doc:"how long the previous space is kept complete after a reindex, so that the reindex can be reverted"`
	IndexThreshold     int                `env:"INDEX_THRESHOLD" envDefault:"20000" doc:"number of passages from which on a space gets a vector index; a smaller space is searched exactly"`
	SearchRecall       float64            `env:"SEARCH_RECALL" envDefault:"0.95" doc:"share of the nearest passages that a search along a vector index should find; more takes longer. It is measured for each space when its index is built"`
	IndexWorkers       int                `env:"INDEX_WORKERS" envDefault:"0" doc:"number of additional processes of the database server that build a vector index; each takes a core from searches meanwhile"`
	Prices             map[string]float64 `env:"PRICES" envKeyValSeparator:"=" envDefault:"text-embedding-3-small=0.02,text-embedding-3-large=0.13,text-embedding-ada-002=0.10" doc:"price of a million tokens in US dollars, by model, for the estimate of a reindex"`

	MaxUploadBytes int64         `env:"MAX_UPLOAD_BYTES" envDefault:"1073741824" doc:"maximum size of a document, in bytes"`
	UploadMemory   int64         `env:"UPLOAD_MEMORY" envDefault:"134217728" doc:"memory, in bytes, that all running uploads hold together: up to 5.25 MiB for each, by its declared length; an upload without room for 5 s is answered 503"`
	UploadTimeout  time.Duration `env:"UPLOAD_TIMEOUT" envDefault:"1m" doc:"time limit for each 16 KiB of a request's body, and for its end; a slower request is answered 408"`
	MaxQueuedJobs  int64         `env:"MAX_QUEUED_JOBS" envDefault:"100000" doc:"maximum number of a tenant's jobs that have not ended; more uploads are answered 429"`
	MaxQueuedBytes int64         `env:"MAX_QUEUED_BYTES" envDefault:"68719476736" doc:"maximum size of the originals of these jobs together, in bytes; more uploads are answered 429"`
	MaxCollections int           `env:"MAX_COLLECTIONS" envDefault:"20000" doc:"maximum number of collections of a tenant; an upload that would create another is answered 409. Existing ones stay"`

	VerifyBytesPerSecond int64 `env:"VERIFY_BYTES_PER_SECOND" envDefault:"1048576" doc:"rate of the background verification, which compares stored documents with what was uploaded; 0 for no verification"`

	WebhookAllow string `env:"WEBHOOK_ALLOW" doc:"networks that webhooks may be in although they are not public, such as 10.0.0.0/8,127.0.0.1/32"`

	WorkerConcurrency int           `env:"WORKER_CONCURRENCY" envDefault:"16" doc:"number of documents that a worker processes at the same time"`
	ShutdownTimeout   time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"25s" doc:"maximum time that a process takes to stop: most of it to finish running work, the rest to return unfinished tasks to the queue"`

	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"json" doc:"json or text"`
}

const envPrefix = "GRISTMILL_"

// otherNames and otherPrefixes are names with our prefix that are not part of Config: the settings
// of the command-line client, and the addresses of test servers.
var (
	otherNames    = []string{"GRISTMILL_SERVER", "GRISTMILL_KEY"}
	otherPrefixes = []string{"GRISTMILL_TEST_", "GRISTMILL_SERVICES_"}
)

// Check returns the reasons why a program cannot work with a configuration.
type Check func(Config) []error

// Load reads the configuration from an environment in the form of os.Environ. It returns one error
// for all unknown names, values that do not parse or are out of range, and failed checks.
func Load(environ []string, checks ...Check) (Config, error) {
	values := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		// A compose file passes an empty value for a name that is not set.
		if value != "" && strings.HasPrefix(name, envPrefix) {
			values[name] = value
		}
	}
	var config Config
	problems := unknownNames(values)
	if err := env.ParseWithOptions(&config, env.Options{Environment: values, Prefix: envPrefix}); err != nil {
		problems = append(problems, parseProblems(err)...)
	}
	config.setDefaults()
	problems = append(problems, config.validate()...)
	for _, check := range checks {
		problems = append(problems, check(config)...)
	}
	if len(problems) > 0 {
		return Config{}, fmt.Errorf("configuration: %w", errors.Join(problems...))
	}
	return config, nil
}

// unknownNames returns an error for each name with our prefix that no program reads. Most likely it
// is misspelt.
func unknownNames(values map[string]string) []error {
	known := slices.Clone(otherNames)
	for _, field := range Fields() {
		known = append(known, field.Name)
	}
	var unknown []string
	for name := range values {
		ours := !slices.ContainsFunc(otherPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if ours && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	var problems []error
	for _, name := range unknown {
		problems = append(problems, fmt.Errorf("%s is not a known setting; docs/configuration.md lists all of them", name))
	}
	return problems
}

// parseProblems splits an error of package env into one error for each environment variable.
func parseProblems(err error) []error {
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return []error{err}
	}
	problems := make([]error, len(all.Errors))
	for i, err := range all.Errors {
		problems[i] = err
		if bad, ok := errors.AsType[env.ParseError](err); ok {
			problems[i] = fmt.Errorf("%s is not a valid %s: %w", envName(bad.Name), bad.Type, bad.Err)
		}
	}
	return problems
}

// exampleSecrets returns an error for each setting with a secret from an old .env.example, because
// that secret is public.
func (c *Config) exampleSecrets() []error {
	var problems []error
	value := reflect.ValueOf(*c)
	for i, field := range Fields() {
		if text, ok := value.Field(i).Interface().(string); ok && strings.Contains(text, "change-me-") {
			problems = append(problems, fmt.Errorf("%s has a secret from .env.example, which is public: set your own secret, such as the output of `openssl rand -hex 24`", field.Name))
		}
	}
	return problems
}

// hasProvider reports whether an OpenAI-compatible provider is configured.
func (c *Config) hasProvider() bool { return c.OpenAIBaseURL != "" || c.OpenAIAPIKey != "" }

// defaultChunking returns the chunking of collections without passages.
func (c *Config) defaultChunking() document.Chunking {
	return document.Chunking{Tokens: c.ChunkTokens, Overlap: c.ChunkOverlap}
}

// defaultModel returns the embedding model of collections without passages. Its dimensions are 0 if
// the provider must be asked for them.
func (c *Config) defaultModel() document.Model {
	return document.Model{Name: c.EmbeddingModel, Dimensions: c.EmbeddingDimensions}
}

// setDefaults sets the defaults that depend on whether there is a provider.
func (c *Config) setDefaults() {
	if c.EmbeddingModel == "" {
		c.EmbeddingModel = llm.LocalModel
		if c.hasProvider() {
			c.EmbeddingModel = "text-embedding-3-small"
		}
	}
	if c.EmbeddingModel == llm.LocalModel && c.EmbeddingDimensions == 0 {
		c.EmbeddingDimensions = llm.LocalDimensions
	}
}

// validate returns an error for each value that parses but is out of range, or contradicts another.
func (c *Config) validate() []error {
	problems := c.exampleSecrets()
	within := func(name string, value, low, high int) {
		if value < low || value > high {
			problems = append(problems, fmt.Errorf("%s%s is %d; want %d to %d", envPrefix, name, value, low, high))
		}
	}
	within("EMBEDDING_DIMENSIONS", c.EmbeddingDimensions, 0, vector.MaxDimensions)
	within("EMBEDDING_BATCH", c.EmbeddingBatch, 1, 2048)
	within("EMBEDDING_BATCH_TOKENS", c.EmbeddingBatchTokens, 1, 1_000_000)
	within("EMBEDDING_CONCURRENCY", c.EmbeddingConcurrency, 1, 1024)
	within("SUMMARY_CONCURRENCY", c.SummaryConcurrency, 1, 256)
	within("SUMMARY_BATCH_TOKENS", c.SummaryBatchTokens, 0, 1_000_000)
	within("CHUNK_TOKENS", c.ChunkTokens, document.MinChunkTokens, document.MaxChunkTokens)
	within("CHUNK_OVERLAP", c.ChunkOverlap, 0, c.ChunkTokens/2)
	within("WORKER_CONCURRENCY", c.WorkerConcurrency, 1, 256)
	within("DATABASE_CONNECTIONS", c.DatabaseConnections, 1, 1000)
	within("REINDEX_CONCURRENCY", c.ReindexConcurrency, 1, 256)
	within("INDEX_THRESHOLD", c.IndexThreshold, 1, math.MaxInt32)
	within("INDEX_WORKERS", c.IndexWorkers, 0, 64)
	if !(c.SearchRecall >= 0.5 && c.SearchRecall <= 1) { // NaN is out of range too
		problems = append(problems, fmt.Errorf("%sSEARCH_RECALL is %v; want 0.5 to 1", envPrefix, c.SearchRecall))
	}
	for model, price := range c.Prices {
		if !(price >= 0) { // NaN is out of range too
			problems = append(problems, fmt.Errorf("%sPRICES: the price of %s is %v; want 0 or more", envPrefix, model, price))
		}
	}
	positive := func(name string, value int64) {
		if value < 1 {
			problems = append(problems, fmt.Errorf("%s%s is %d; want at least 1", envPrefix, name, value))
		}
	}
	positive("MAX_UPLOAD_BYTES", c.MaxUploadBytes)
	positive("MAX_QUEUED_JOBS", c.MaxQueuedJobs)
	positive("MAX_QUEUED_BYTES", c.MaxQueuedBytes)
	positive("MAX_COLLECTIONS", int64(c.MaxCollections))
	if c.UploadMemory < ingest.MinMemoryLimit {
		problems = append(problems, fmt.Errorf("%sUPLOAD_MEMORY is %d; want at least %d", envPrefix, c.UploadMemory, ingest.MinMemoryLimit))
	}
	if c.VerifyBytesPerSecond < 0 {
		problems = append(problems, fmt.Errorf("%sVERIFY_BYTES_PER_SECOND is %d; want 0 or more", envPrefix, c.VerifyBytesPerSecond))
	}
	lasting := func(name string, value time.Duration) {
		if value <= 0 {
			problems = append(problems, fmt.Errorf("%s%s is %s; want more than 0", envPrefix, name, value))
		}
	}
	lasting("PROVIDER_TIMEOUT", c.ProviderTimeout)
	lasting("SEARCH_TIMEOUT", c.SearchTimeout)
	lasting("UPLOAD_TIMEOUT", c.UploadTimeout)
	lasting("SHUTDOWN_TIMEOUT", c.ShutdownTimeout)
	if c.ReindexSoak < 0 {
		problems = append(problems, fmt.Errorf("%sREINDEX_SOAK is %s; want 0 or more", envPrefix, c.ReindexSoak))
	}
	if c.EmbeddingModel != "local" && !c.hasProvider() {
		problems = append(problems, fmt.Errorf("%[1]sEMBEDDING_MODEL is %[2]s, which needs a provider: set %[1]sOPENAI_BASE_URL, %[1]sOPENAI_API_KEY or both", envPrefix, c.EmbeddingModel))
	}
	if c.SummaryModel != "" && !c.hasProvider() && c.SummaryBaseURL == "" && c.SummaryAPIKey == "" {
		problems = append(problems, fmt.Errorf("%[1]sSUMMARY_MODEL is %[2]s, which needs a provider: set %[1]sSUMMARY_BASE_URL, %[1]sSUMMARY_API_KEY or both", envPrefix, c.SummaryModel))
	}
	if !slices.Contains(document.SummaryModes, document.SummaryMode(c.Summaries)) {
		problems = append(problems, fmt.Errorf("%sSUMMARIES is %q; want model, on_demand or off", envPrefix, c.Summaries))
	}
	if !slices.Contains([]llm.SendDimensions{llm.SendDimensionsAuto, llm.SendDimensionsAlways, llm.SendDimensionsNever}, llm.SendDimensions(c.SendDimensions)) {
		problems = append(problems, fmt.Errorf("%sEMBEDDING_SEND_DIMENSIONS is %q; want auto, always or never", envPrefix, c.SendDimensions))
	}
	if _, err := webhook.ParseNetworks(c.WebhookAllow); err != nil {
		problems = append(problems, fmt.Errorf("%sWEBHOOK_ALLOW: %w", envPrefix, err))
	}
	if _, err := telemetry.NewLogger(io.Discard, c.LogFormat, c.LogLevel); err != nil {
		problems = append(problems, err)
	}
	return problems
}

// RequireServers returns an error for each missing setting that is needed to reach the servers.
func RequireServers(c Config) []error {
	return checkSet(c, "DATABASE_URL", "REDIS_URL", "S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY")
}

// RequireOwner returns an error for each missing setting that is needed to migrate the database.
func RequireOwner(c Config) []error {
	return checkSet(c, "MIGRATE_DATABASE_URL", "DATABASE_URL")
}

// RequireKeyOrLoopback returns an error if other machines can reach the API without a key.
func RequireKeyOrLoopback(c Config) []error {
	if c.APIKey != "" || isLoopback(c.Addr) {
		return nil
	}
	return []error{fmt.Errorf("%[1]sADDR is %[2]s, which other machines can reach: set %[1]sAPI_KEY, or listen on 127.0.0.1", envPrefix, c.Addr)}
}

// isLoopback reports whether only this machine can reach a listener on addr.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
