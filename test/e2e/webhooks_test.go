package e2e_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	wait "github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const allowLoopback = "GRISTMILL_WEBHOOK_ALLOW=127.0.0.1/32"

// receivedEvent is a request to a receiver.
type receivedEvent struct {
	header http.Header
	body   []byte
	event  document.Event
}

// newReceiver starts a receiver. It returns its URL and the requests that it gets. answer returns
// the status of the next answer.
func newReceiver(t *testing.T, answer func(r *http.Request) int) (url string, requests <-chan receivedEvent) {
	t.Helper()
	all := make(chan receivedEvent, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := receivedEvent{header: r.Header}
		got.body, _ = io.ReadAll(r.Body)
		if err := json.Unmarshal(got.body, &got.event); err != nil {
			t.Errorf("body %s: %v", got.body, err)
		}
		all <- got
		w.WriteHeader(answer(r))
	}))
	t.Cleanup(receiver.Close)
	return receiver.URL, all
}

// send sends a request with a JSON body, or none, and decodes the answer.
func send[T any](t *testing.T, method, url, body string, want int) (answer T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+program.APIKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		t.Fatalf("%s %s: got %d %s, %v; want %d", method, url, response.StatusCode, text, err, want)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%s %s: %s: %v", method, url, text, err)
		}
	}
	return answer
}

func addWebhook(t *testing.T, api, url string) document.Webhook {
	t.Helper()
	return send[document.Webhook](t, "POST", api+"/v1/webhooks", `{"url":"`+url+`"}`, http.StatusCreated)
}

// awaitDelivery waits until the webhook has exactly one delivery, with an attempt and the given
// state.
func awaitDelivery(t *testing.T, api string, webhook uuid.UUID, state document.DeliveryState) (delivery document.Delivery) {
	t.Helper()
	wait.Until(t, "a delivery is "+string(state), func() bool {
		list := send[document.List[document.Delivery]](t, "GET", api+"/v1/webhooks/"+webhook.String()+"/deliveries", "", http.StatusOK)
		if len(list.Items) == 1 {
			delivery = list.Items[0]
		}
		return len(list.Items) == 1 && delivery.State == state && delivery.Attempts > 0
	})
	return delivery
}

// checkSignature checks a signature as a receiver does, with the text of the secret.
func checkSignature(t *testing.T, webhook document.Webhook, got receivedEvent) {
	t.Helper()
	text, err := webhook.Secret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(text), "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(got.header.Get("webhook-id") + "." + got.header.Get("webhook-timestamp") + "."))
	mac.Write(got.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.header.Get("webhook-signature") != want {
		t.Errorf("signature %q, want %q", got.header.Get("webhook-signature"), want)
	}
}

// A delivery that fails is retried with the same event: the same id and the same bytes.
func TestWebhookIsRetriedUntilDelivered(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t, allowLoopback)
	api := s.Start("api")
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	statuses := make(chan int, 2)
	statuses <- http.StatusServiceUnavailable
	statuses <- http.StatusNoContent
	url, requests := newReceiver(t, func(*http.Request) int { return <-statuses })
	webhook := addWebhook(t, api.URL(), url+"/hook")

	accepted := uploadOne(t, api.Client(program.APIKey), "guide.md", guide)
	first := wait.Receive(t, requests)
	second := wait.Receive(t, requests)
	checkSignature(t, webhook, first)
	checkSignature(t, webhook, second)
	if !bytes.Equal(first.body, second.body) || first.header.Get("webhook-id") != second.header.Get("webhook-id") {
		t.Errorf("two attempts at one delivery differ: %s %s, %s %s", first.header, first.body, second.header, second.body)
	}
	job, event := accepted.Job, first.event
	if event.Type != "job.succeeded" || event.ID.String() != first.header.Get("webhook-id") || event.Job.ID != job.ID ||
		event.Job.DocumentID != job.DocumentID || event.Job.Key != "guide.md" || event.Job.State != document.JobSucceeded || event.Job.FinishedAt.Before(event.Job.CreatedAt) {
		t.Errorf("received %s for the job %+v", first.body, job)
	}

	delivery := awaitDelivery(t, api.URL(), webhook.ID, document.DeliveryDelivered)
	if delivery.ID != event.ID || delivery.JobID != job.ID || delivery.Attempts != 2 || delivery.Status != http.StatusNoContent || delivery.Error != "" {
		t.Errorf("the listed delivery is %+v", delivery)
	}
	if got := send[document.List[document.Webhook]](t, "GET", api.URL()+"/v1/webhooks", "", http.StatusOK).Items; len(got) != 1 || got[0].ID != webhook.ID || got[0].Secret != nil {
		t.Errorf("the listed webhooks are %+v", got)
	}
	send[any](t, "DELETE", api.URL()+"/v1/webhooks/"+webhook.ID.String(), "", http.StatusNoContent)
	uploadOne(t, api.Client(program.APIKey), "another.md", guide)
	if n := s.QueryInt(`SELECT count(*) FROM deliveries`); n != 0 || len(requests) != 0 {
		t.Errorf("%d deliveries and %d requests after the webhook was deleted", n, len(requests))
	}
}

// The workers die after the event was committed, before the delivery was recorded.
func TestWebhookIsDeliveredAfterSIGKILL(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t, allowLoopback)
	api, knowledge, summary := s.Start("api"), s.Start("worker-knowledge"), s.Start("worker-summary")
	held := make(chan struct{}, 1)
	url, requests := newReceiver(t, func(r *http.Request) int {
		select {
		case held <- struct{}{}: // holds the first request until its sender has died
			<-r.Context().Done()
		default:
		}
		return http.StatusOK
	})
	webhook := addWebhook(t, api.URL(), url)
	uploadOne(t, api.Client(program.APIKey), "guide.md", guide)
	first := wait.Receive(t, requests)
	knowledge.Kill()
	summary.Kill()
	s.Start("worker-summary")
	s.Exec(`UPDATE deliveries SET next_attempt_at = now()`) // expires the claim of the dead worker
	second := wait.Receive(t, requests)
	checkSignature(t, webhook, second)
	if first.header.Get("webhook-id") != second.header.Get("webhook-id") || !bytes.Equal(first.body, second.body) {
		t.Errorf("received %s, then %s", first.body, second.body)
	}
	if delivery := awaitDelivery(t, api.URL(), webhook.ID, document.DeliveryDelivered); delivery.Attempts != 2 {
		t.Errorf("the listed delivery is %+v", delivery)
	}
}

// By default, webhooks cannot make the workers connect to their own network.
func TestWebhooksReachPublicAddressesOnly(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t)
	api := s.Start("api")
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	url, requests := newReceiver(t, func(*http.Request) int { return http.StatusOK })
	problem := send[struct{ Code, Detail string }](t, "POST", api.URL()+"/v1/webhooks", `{"url":"`+url+`"}`, http.StatusBadRequest)
	if problem.Code != "bad_request" || !strings.Contains(problem.Detail, "loopback") || !strings.Contains(problem.Detail, "GRISTMILL_WEBHOOK_ALLOW") {
		t.Errorf("the refusal is %+v", problem)
	}
	webhook := addWebhook(t, api.URL(), strings.Replace(url, "127.0.0.1", "localhost", 1))
	uploadOne(t, api.Client(program.APIKey), "guide.md", guide)
	var delivery document.Delivery
	wait.Until(t, "the delivery is refused", func() bool {
		delivery = awaitDelivery(t, api.URL(), webhook.ID, document.DeliveryPending)
		return delivery.Error != ""
	})
	if !strings.Contains(delivery.Error, "a loopback address is refused") || delivery.Status != 0 || delivery.NextAttemptAt == nil || time.Until(*delivery.NextAttemptAt) > time.Minute {
		t.Errorf("the listed delivery is %+v", delivery)
	}
	if len(requests) != 0 {
		t.Error("the receiver was reached")
	}
}

func TestDevModeDeliversWebhooks(t *testing.T) {
	t.Parallel()
	dev := program.Start(t, []string{allowLoopback}, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", t.TempDir())
	url, requests := newReceiver(t, func(*http.Request) int { return http.StatusOK })
	webhook := addWebhook(t, dev.URL(), url)
	accepted := uploadOne(t, dev.Client(""), "guide.md", guide)
	got := wait.Receive(t, requests)
	checkSignature(t, webhook, got)
	if got.event.Job.ID != accepted.Job.ID || got.event.Job.Collection != "default" {
		t.Errorf("received %s", got.body)
	}
	awaitDelivery(t, dev.URL(), webhook.ID, document.DeliveryDelivered)
	if status := dev.Stop(); status != 0 {
		t.Errorf("dev exited with %d:\n%s", status, dev.Output())
	}
}
