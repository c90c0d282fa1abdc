package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/webhook"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// newSender returns a sender that may connect to this machine.
func newSender(t *testing.T) *webhook.Sender {
	t.Helper()
	s := webhook.NewSender([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	t.Cleanup(func() { s.Close() })
	return s
}

func newReceiver(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	r := httptest.NewServer(handle)
	t.Cleanup(r.Close)
	return r
}

func newDelivery(url string) task.Delivery {
	return task.Delivery{
		Delivery: document.Delivery{ID: uuid.Must(uuid.NewV7())},
		URL:      url, Secret: document.NewWebhookSecret(), Body: []byte(`{"type":"job.succeeded"}`),
	}
}

func TestSendIsSigned(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	var body []byte
	receiver := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		got <- r
		w.WriteHeader(http.StatusNoContent)
	})
	sent := newDelivery(receiver.URL + "/hook?token=1")
	before := time.Now().Unix()
	status, err := newSender(t).Send(t.Context(), sent)
	if err != nil || status != http.StatusNoContent {
		t.Fatalf("got %d, %v", status, err)
	}
	r := <-got
	if string(body) != string(sent.Body) || r.Method != "POST" || r.URL.String() != "/hook?token=1" {
		t.Errorf("received %s %s %s", r.Method, r.URL, body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "gristmill", "Webhook-Id": sent.ID.String(), "Content-Length": strconv.Itoa(len(sent.Body)),
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}

	// Compute the signature as a receiver would, from the text of the secret.
	text, _ := sent.Secret.MarshalText()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(text), "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	stamp := r.Header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(r.Header.Get("webhook-id") + "." + stamp + "." + string(body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
		t.Errorf("signature %q, want %q", r.Header.Get("webhook-signature"), want)
	}
	if at, err := strconv.ParseInt(stamp, 10, 64); err != nil || at < before || at > time.Now().Unix() {
		t.Errorf("timestamp %q, want the time of the attempt", stamp)
	}
}

// The example is from the libraries of Standard Webhooks.
func TestSignMatchesStandardWebhooks(t *testing.T) {
	t.Parallel()
	var secret document.WebhookSecret
	if err := secret.UnmarshalText([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")); err != nil {
		t.Fatal(err)
	}
	got := webhook.Sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSendByResponseStatus(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	elsewhere := newReceiver(t, func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	receiver := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Path[1:])
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(status)
	})
	sender := newSender(t)
	for status, want := range map[int]string{
		200: "", 202: "", 299: "", 301: "redirects are not followed", 302: "redirects are not followed", 307: "redirects are not followed",
		304: "redirects are not followed", 400: "answered 400 Bad Request", 404: "404", 410: "410", 429: "429", 500: "500 Internal Server Error", 599: "599",
	} {
		got, err := sender.Send(t.Context(), newDelivery(receiver.URL+"/"+strconv.Itoa(status)))
		if got != status || (err == nil) != (want == "") || err != nil && !strings.Contains(fault.As(err).Detail, want) {
			t.Errorf("answered %d: got %d, %v; want %q", status, got, err, want)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// A refused host gets no connection, whatever its name.
func TestSendConnectsToPublicAddressesOnly(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var connected atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
			connected.Add(1)
		}
	}()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	sender := webhook.NewSender([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	t.Cleanup(func() { sender.Close() })
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "127.0.0.5"} {
		status, err := sender.Send(t.Context(), newDelivery("http://"+host+":"+port))
		if status != 0 || !fault.Is(err, fault.Forbidden) || !strings.Contains(fault.As(err).Detail, "GRISTMILL_WEBHOOK_ALLOW") {
			t.Errorf("%s: got %d, %v; want fault.Forbidden with the setting that allows it", host, status, err)
		}
	}
	// Other spellings, which some resolvers accept: refused, or unknown.
	for _, host := range []string{"127.1", "2130706433", "0x7f000001", "0177.0.0.1"} {
		if status, err := sender.Send(t.Context(), newDelivery("http://"+host+":"+port)); err == nil {
			t.Errorf("%s: got %d", host, status)
		}
	}
	if n := connected.Load(); n != 0 {
		t.Errorf("%d connections were made to refused addresses", n)
	}
}

func TestSendReportsWhyThereIsNoResponse(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	silent := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	cut := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	garbage := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, out, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = out.WriteString(strings.Repeat("x", 8<<10) + "\r\n\r\n")
			out.Flush()
			conn.Close()
		}
	})
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(t.Output(), "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	stopped := newReceiver(t, http.NotFound)
	stopped.Close()
	sender := newSender(t)
	for url, want := range map[string]string{
		silent.URL:                      "no answer within 10s",
		cut.URL:                         "EOF",
		garbage.URL:                     "malformed",
		untrusted.URL:                   "certificate",
		stopped.URL:                     "refused",
		"http://receiver.invalid/token": "look up receiver.invalid: ",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if url == silent.URL {
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		}
		status, err := sender.Send(ctx, newDelivery(url))
		cancel()
		if status != 0 || !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.As(err).Detail, want) {
			t.Errorf("%s: got %d, %v; want %q", url, status, err, want)
			continue
		}
		if detail := fault.As(err).Detail; len(detail) > 400 || strings.Contains(detail, "token") || strings.Contains(detail, "127.0.0.1") {
			t.Errorf("%s: the reason shows too much: %s", url, detail)
		}
	}
}

// An endless response must not delay the sender.
func TestSendReadsResponsePartly(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		line := []byte(strings.Repeat("endless ", 1024))
		for {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if status, err := newSender(t).Send(ctx, newDelivery(receiver.URL)); status != 200 || err != nil || ctx.Err() != nil {
		t.Errorf("got %d, %v", status, err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	sender := webhook.NewSender([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for url, want := range map[string]string{ // "" for a valid URL
		"https://example.com/hook": "", "http://example.com": "", "HTTPS://EXAMPLE.COM:8443/a?b=c": "", "http://10.0.0.1/": "", "https://1.1.1.1": "",
		"https://[2606:4700::1]/": "", "https://bücher.example/": "", "http://localhost/": "", // checked when it is resolved
		"https://example.com/" + strings.Repeat("a", 2048-20): "",

		"": "absolute", "/hook": "absolute", "example.com/hook": "absolute", "//example.com": "absolute", "http:example.com": "absolute",
		"ftp://example.com": "absolute", "file:///etc/passwd": "absolute", "https://": "absolute", "http://:80/": "absolute",
		"https://u@example.com": "user name", "https://u:p@example.com": "user name",
		"https://example.com/#a": "fragment", "https://example.com/#": "fragment",
		"https://example.com:0": "port", "https://example.com:65536": "port", "https://example.com:x": "not a valid URL",
		"https://exa mple.com": "not a valid URL", "https://example.com/\x00": "not a valid URL", "https://[::1": "not a valid URL", "https://%zz": "not a valid URL",
		"https://example.com/" + strings.Repeat("a", 2048): "2048",
		"http://127.0.0.1:8080/":                           "a loopback address", "http://169.254.169.254/latest": "a link-local address", "http://[::1]/": "a loopback address",
		"http://[::ffff:192.168.0.1]/": "a private address", "http://[fe80::1%25eth0]/": "a link-local address", "http://0.0.0.0": "an unspecified address",
	} {
		err := sender.CheckURL(url)
		if want == "" && err != nil || want != "" && (!fault.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", url, err, want)
		}
	}
}
