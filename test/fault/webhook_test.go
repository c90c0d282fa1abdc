package fault_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The receiver is unreachable for a while, then answers errors for a while. It still gets an event
// for each job that ended during that time.
func TestWebhookReceiverIsDown(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{}, "GRISTMILL_WEBHOOK_ALLOW=127.0.0.0/8")
	r := newReceiver(t)
	m.startAll()
	r.register(m)
	r.connection.down()
	back := time.After(ifShort(4*time.Second, time.Minute))
	files := newFiles(m.random, ifShort(20, 100))
	m.uploadAll(files[:len(files)/2])
	m.awaitRefusal("cannot be reached")

	r.answer(http.StatusInternalServerError)
	r.connection.up()
	m.uploadAll(files[len(files)/2:])
	m.awaitRefusal("answered 500")
	<-back
	r.answer(http.StatusNoContent)
	m.audit(time.Minute, 0)
	r.check(m, 3*time.Minute)
}

// The workers are killed after jobs have ended, before the receiver has answered their events or
// got them at all.
func TestWebhookAfterKills(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{}, "GRISTMILL_WEBHOOK_ALLOW=127.0.0.0/8")
	r := newReceiver(t)
	m.start("api")
	r.register(m)
	r.hold()
	// More jobs each time than the two workers can deliver before the jobs have ended: eight at a
	// time, ten seconds each.
	const jobs = 80
	kills := ifShort(1, 3)
	files := newFiles(m.random, jobs*kills)
	for kill := range kills {
		knowledge, summary := m.start("worker-knowledge"), m.start("worker-summary")
		m.uploadAll(files[jobs*kill : jobs*(kill+1)])
		audit.AwaitIdle(t, m.direct, time.Minute)
		await.Until(t, "the receiver has not answered yet", func() bool { return r.held() > 0 })
		knowledge.Kill()
		summary.Kill()
		t.Logf("kill %d: the receiver got %d events", kill+1, len(r.eventCounts()))
	}
	unanswered := r.eventCounts()
	if len(unanswered) == len(files) {
		t.Error("the receiver got all events; the test needs more jobs")
	}
	r.answer(http.StatusOK)
	m.start("worker-knowledge")
	m.start("worker-summary")
	r.check(m, 2*time.Minute)
	m.audit(time.Minute, 0)
	for id, before := range unanswered {
		if r.eventCounts()[id] == before {
			t.Errorf("event %s was not answered, but was not delivered again", id)
		}
	}
}

// receiver receives the events of a webhook. It keeps the first body of each event and compares
// later ones with it.
type receiver struct {
	t          *testing.T
	server     *httptest.Server
	connection *proxy // in front of it
	webhook    uuid.UUID

	mu      sync.Mutex
	secret  string
	status  int           // of its answers
	open    chan struct{} // a closed channel while it answers
	waiting int           // number of requests that wait for an answer
	bodies  map[string]string
	times   map[string]int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, status: http.StatusOK, open: make(chan struct{}), bodies: map[string]string{}, times: map[string]int{}}
	close(r.open)
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	r.connection = newProxy(t, "receiver", r.server.Listener.Addr().String())
	return r
}

// register adds a webhook for the receiver to an installation.
func (r *receiver) register(m *testEnv) {
	m.t.Helper()
	hook := url.URL{Scheme: "http", Host: r.connection.addr(), Path: "/hook"}
	var added struct {
		ID     uuid.UUID
		Secret string
	}
	status, _, answer := m.send("POST", "/v1/webhooks", map[string]string{"url": hook.String()})
	if err := json.Unmarshal(answer, &added); err != nil || status != http.StatusCreated {
		m.t.Fatalf("add a webhook: %d %s, %v", status, answer, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.webhook, r.secret = added.ID, added.Secret
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	open := r.recordEvent(request.Header, string(body))
	select {
	case <-open:
	case <-request.Context().Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting--
	w.WriteHeader(r.status)
}

// recordEvent records an event, and returns a channel that is closed when it may be answered.
func (r *receiver) recordEvent(header http.Header, body string) (open <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := header.Get("webhook-id")
	if !verifySignature(r.secret, header, body) {
		r.t.Errorf("the signature of event %s does not verify", id)
	}
	if first, again := r.bodies[id]; again && first != body {
		r.t.Errorf("event %s had the body %s, and now has %s", id, first, body)
	}
	r.bodies[id] = body
	r.times[id]++
	r.waiting++
	return r.open
}

// verifySignature reports whether the body was signed with the secret within the last minute.
func verifySignature(secret string, header http.Header, body string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	seconds, err2 := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if err != nil || err2 != nil || time.Since(time.Unix(seconds, 0)).Abs() > time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", header.Get("webhook-id"), seconds, body)
	return header.Get("webhook-signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// hold makes the receiver delay its answers until answer is called.
func (r *receiver) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = make(chan struct{})
}

// answer makes the receiver answer with a status.
func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
	select {
	case <-r.open:
	default:
		close(r.open)
	}
}

// eventCounts returns the number of times that each event was received.
func (r *receiver) eventCounts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.times)
}

// held returns the number of requests that wait for an answer.
func (r *receiver) held() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting
}

// check waits until all deliveries have succeeded, and checks that the receiver has exactly one
// event for each job.
func (r *receiver) check(m *testEnv, limit time.Duration) {
	m.t.Helper()
	await.Within(m.t, limit, "everything is delivered", func() bool {
		return m.direct.QueryInt(`SELECT count(*) FROM deliveries WHERE state <> 'delivered'`) == 0
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	events := map[uuid.UUID]document.Event{}
	attempts := 0
	for id, body := range r.bodies {
		var event document.Event
		if err := json.Unmarshal([]byte(body), &event); err != nil || event.ID.String() != id {
			m.t.Errorf("event %s is %s: %v", id, body, err)
		}
		if other, twice := events[event.Job.ID]; twice {
			m.t.Errorf("job %s has two events, %s and %s", event.Job.ID, other.ID, event.ID)
		}
		events[event.Job.ID] = event
		attempts += r.times[id]
	}
	jobs := audit.Jobs(m.t, m.client())
	for _, job := range jobs {
		if event := events[job.ID]; event.Type != document.EventType(job.State) || event.Job.State != job.State || event.Job.DocumentID != job.DocumentID {
			m.t.Errorf("job %s is %s, but its event is %+v", job.ID, job.State, event)
		}
	}
	m.t.Logf("%d jobs, %d events, received %d times", len(jobs), len(events), attempts)
	if n := m.direct.QueryInt(`SELECT count(*) FROM deliveries`); len(events) != len(jobs) || n != len(jobs) {
		m.t.Errorf("%d events were received, and %d are listed, for %d jobs", len(events), n, len(jobs))
	}
}

// awaitRefusal waits until a delivery has an error that contains reason.
func (m *testEnv) awaitRefusal(reason string) {
	m.t.Helper()
	await.Within(m.t, time.Minute, "a delivery was refused: "+reason, func() bool {
		return m.direct.QueryInt(`SELECT count(*) FROM deliveries WHERE state = 'pending' AND error LIKE '%' || $1 || '%'`, reason) > 0
	})
}
