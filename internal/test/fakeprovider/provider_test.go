package fakeprovider_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

type datum struct {
	Index     int
	Embedding json.RawMessage
}

// post sends a request and returns the status, the headers and the body.
func post(t testing.TB, p *fakeprovider.Provider, path string, body any) (int, http.Header, []byte) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(p.URL()+path, "application/json", bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil && err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}

// embed requests vectors and returns them as they were sent.
func embed(t testing.TB, p *fakeprovider.Provider, encoding string, dimensions int, texts ...string) []datum {
	t.Helper()
	status, _, body := post(t, p, "/embeddings", map[string]any{
		"model": "m", "input": texts, "encoding_format": encoding, "dimensions": dimensions,
	})
	var answer struct{ Data []datum }
	if err := json.Unmarshal(body, &answer); status != http.StatusOK || err != nil {
		t.Fatalf("answered %d %s (%v)", status, body, err)
	}
	return answer.Data
}

func floats(t testing.TB, d datum) []float32 {
	t.Helper()
	var encoded string
	var vector []float32
	if json.Unmarshal(d.Embedding, &encoded) != nil {
		if err := json.Unmarshal(d.Embedding, &vector); err != nil {
			t.Fatal(err)
		}
		return vector
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	for ; len(raw) > 0; raw = raw[4:] {
		vector = append(vector, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return vector
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, semantic := range []bool{false, true} {
		for _, dimensions := range []int{1, 2, 3, 4, 64, 65, 512, 1536} {
			t.Run(fmt.Sprintf("semantic=%v/%d", semantic, dimensions), func(t *testing.T) {
				t.Parallel()
				p := fakeprovider.Start(t, fakeprovider.Options{Semantic: semantic})
				packed := embed(t, p, "base64", dimensions, "one", "two", "one")
				plain := embed(t, p, "float", dimensions, "one", "two", "one")
				for i := range packed {
					if got := floats(t, packed[i]); len(got) != dimensions {
						t.Fatalf("%d dimensions, want %d", len(got), dimensions)
					}
					if diff := cmp.Diff(floats(t, packed[i]), floats(t, plain[i])); diff != "" {
						t.Errorf("encodings differ: %s", diff)
					}
				}
				if !cmp.Equal(packed[0].Embedding, packed[2].Embedding) {
					t.Error("equal texts have different vectors")
				}
				if dimensions > 2 && cmp.Equal(packed[0].Embedding, packed[1].Embedding) {
					t.Error("different texts have equal vectors")
				}
			})
		}
	}
}

func TestManyTextsDiffer(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64})
	seen := make(map[string]string)
	for batch := range 20 {
		texts := make([]string, 1000)
		for i := range texts {
			texts[i] = fmt.Sprint("text ", batch, " ", i)
		}
		for i, d := range embed(t, p, "base64", 0, texts...) {
			if other, ok := seen[string(d.Embedding)]; ok {
				t.Fatalf("%q and %q have the same vector", other, texts[i])
			}
			seen[string(d.Embedding)] = texts[i]
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 8, RecordTexts: true})
	embed(t, p, "base64", 0, "once", "twice")
	embed(t, p, "float", 0, "twice")
	p.FailNext(fakeprovider.Status(500, "broken"), 1)
	post(t, p, "/embeddings", map[string]any{"input": []string{"never"}})
	p.FailNext(fakeprovider.NaN, 1)
	embed(t, p, "base64", 0, "wrong")
	post(t, p, "/chat/completions", map[string]any{"messages": []any{map[string]any{"role": "user", "content": "a"}}})

	want := fakeprovider.Counts{EmbeddingRequests: 4, TextsProcessed: 4, TextsAnswered: 3, TokensAnswered: 5, TokensCharged: 7, RequestsRefused: 1, MaxTextsPerRequest: 2, ChatRequests: 1, ChatSummaries: 1, ChatInputTokens: 1, ChatOutputTokens: 5}
	if diff := cmp.Diff(want, p.Counts()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"once": 1, "twice": 2}, p.EmbeddedTexts()); diff != "" {
		t.Error(diff)
	}
	p.ResetCounts()
	if diff := cmp.Diff(fakeprovider.Counts{}, p.Counts()); diff != "" {
		t.Error(diff)
	}
}

func TestRequestsOfDisconnectedClientsAreNotInFlight(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Latency: time.Hour})
	ctx, disconnect := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL()+"/embeddings", strings.NewReader(`{"input":["a"]}`))
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(request)
		failed <- err
	}()
	await.Until(t, "the request is in flight", func() bool { return p.InFlight() == 1 })
	disconnect()
	if err := await.Receive(t, failed); err == nil {
		t.Error("the request was answered after the client disconnected")
	}
	await.Until(t, "the provider notices that the client has disconnected", func() bool { return p.InFlight() == 0 })
}

func TestFaults(t *testing.T) {
	t.Parallel()
	indexes := func(data []datum) []int {
		var got []int
		for _, d := range data {
			got = append(got, d.Index)
		}
		return got
	}
	tests := []struct {
		name  string
		fault fakeprovider.Fault
		ok    func(t *testing.T, data []datum) bool
	}{
		{"wrong count", fakeprovider.WrongCount, func(_ *testing.T, d []datum) bool { return cmp.Equal(indexes(d), []int{0, 1}) }},
		{"wrong order", fakeprovider.WrongOrder, func(_ *testing.T, d []datum) bool { return cmp.Equal(indexes(d), []int{2, 1, 0}) }},
		{"duplicate", fakeprovider.DuplicateIndex, func(_ *testing.T, d []datum) bool { return cmp.Equal(indexes(d), []int{0, 1, 0}) }},
		{"out of range", fakeprovider.IndexOutOfRange, func(_ *testing.T, d []datum) bool { return cmp.Equal(indexes(d), []int{0, 1, 3}) }},
		{"dimension", fakeprovider.WrongDimension, func(t *testing.T, d []datum) bool { return len(floats(t, d[0])) == 15 }},
		{"NaN", fakeprovider.NaN, func(t *testing.T, d []datum) bool { return math.IsNaN(float64(floats(t, d[2])[0])) }},
		{"zero", fakeprovider.ZeroVector, func(t *testing.T, d []datum) bool { return cmp.Equal(floats(t, d[2]), make([]float32, 16)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 16})
			p.FailNext(tt.fault, 1)
			if d := embed(t, p, "base64", 0, "a", "b", "c"); !tt.ok(t, d) {
				t.Errorf("answered %+v", d)
			}
			if d := embed(t, p, "base64", 0, "a", "b", "c"); !cmp.Equal(indexes(d), []int{0, 1, 2}) {
				t.Errorf("still faulty: %+v", d)
			}
		})
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 4})
	statuses := func(n int) []int {
		var got []int
		for range n {
			status, _, _ := post(t, p, "/embeddings", map[string]any{"input": []string{"a"}})
			got = append(got, status)
		}
		return got
	}
	p.FailNext(fakeprovider.RateLimit("7"), 2)
	if diff := cmp.Diff([]int{429, 429, 200}, statuses(3)); diff != "" {
		t.Errorf("FailNext twice: %s", diff)
	}
	p.FailEvery(fakeprovider.Status(503, "tired"), 3)
	if diff := cmp.Diff([]int{200, 200, 503, 200, 200, 503}, statuses(6)); diff != "" {
		t.Errorf("FailEvery third: %s", diff)
	}
	p.FailEvery(nil, 0)
	p.FailNext(fakeprovider.Status(500, "down"), -1)
	if diff := cmp.Diff([]int{500, 500, 500}, statuses(3)); diff != "" {
		t.Errorf("FailNext without limit: %s", diff)
	}
	p.FailNext(nil, 0)
	if diff := cmp.Diff([]int{200}, statuses(1)); diff != "" {
		t.Errorf("FailNext never: %s", diff)
	}
}

func TestFailFor(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 4})
	status := func() int {
		status, _, _ := post(t, p, "/embeddings", map[string]any{"input": []string{"a"}})
		return status
	}
	const window = 100 * time.Millisecond
	start := time.Now()
	p.FailFor(fakeprovider.RateLimit("1"), window)
	if got := status(); got != 429 && time.Since(start) < window {
		t.Errorf("answered %d within the window", got)
	}
	await.Until(t, "the window is over", func() bool { return status() == 200 })
	if took := time.Since(start); took < window {
		t.Errorf("the window ended after %s, want at least %s", took, window)
	}
}

func TestFailShare(t *testing.T) {
	t.Parallel()
	failed := func(seed uint64) string {
		p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 4})
		p.FailShare(fakeprovider.Status(500, "now and then"), 0.3, seed)
		which := make([]byte, 200)
		for i := range which {
			status, _, _ := post(t, p, "/embeddings", map[string]any{"input": []string{"a"}})
			which[i] = '.'
			if status == 500 {
				which[i] = 'x'
			}
		}
		return string(which)
	}
	first := failed(1)
	if n := strings.Count(first, "x"); n < 40 || n > 80 {
		t.Errorf("%d of 200 failed, want about 60", n)
	}
	if failed(1) != first || failed(2) == first {
		t.Error("the seed does not determine which requests fail")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 4, RequestsPerMinute: 6, TokensPerMinute: 120})
	ask := func(tokens int) (int, http.Header) {
		status, header, _ := post(t, p, "/embeddings", map[string]any{"input": []string{strings.Repeat("abcd", tokens)}})
		return status, header
	}
	status, header := ask(90)
	for name, want := range map[string]string{"Limit-Requests": "6", "Remaining-Requests": "5", "Limit-Tokens": "120", "Remaining-Tokens": "30"} {
		if got := header.Get("X-RateLimit-" + name); got != want || status != 200 {
			t.Errorf("answered %d, %s %q, want 200, %q", status, name, got, want)
		}
	}
	if reset, err := time.ParseDuration(header.Get("X-RateLimit-Reset-Tokens")); err != nil || reset.Round(time.Second) != 45*time.Second {
		t.Errorf("X-RateLimit-Reset-Tokens is %s, error %v, want 45s", reset, err)
	}
	if status, header := ask(60); status != 429 || header.Get("Retry-After") != "15" {
		t.Errorf("too many tokens: %d, Retry-After %q, want 429, 15", status, header.Get("Retry-After"))
	}
	for range 4 {
		ask(1)
	}
	if status, header := ask(1); status != 429 || header.Get("Retry-After") != "10" {
		t.Errorf("too many requests: %d, Retry-After %q, want 429, 10", status, header.Get("Retry-After"))
	}
	if c := p.Counts(); c.RequestsRefused != 2 || c.TokensAnswered != 94 {
		t.Errorf("%+v", c)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{MaxTexts: 2})
	p.FailNext(fakeprovider.RateLimit("7"), 1)
	status, header, body := post(t, p, "/embeddings", map[string]any{"input": []string{"a"}})
	if status != 429 || header.Get("Retry-After") != "7" || !bytes.Contains(body, []byte("rate limit reached")) {
		t.Errorf("answered %d %v %s", status, header, body)
	}
	if status, _, _ := post(t, p, "/embeddings", map[string]any{"input": []string{"a", "b", "c"}}); status != 400 {
		t.Errorf("too many texts: %d", status)
	}
	if status, _, _ := post(t, p, "/elsewhere", nil); status != 404 {
		t.Errorf("unknown page: %d", status)
	}
	p.FailNext(fakeprovider.TruncatedJSON, 1)
	if _, header, body := post(t, p, "/embeddings", map[string]any{"input": []string{"a"}}); json.Valid(body) || header.Get("Content-Length") == fmt.Sprint(len(body)) {
		t.Errorf("not truncated: %d bytes of %s", len(body), header.Get("Content-Length"))
	}
	locked := fakeprovider.Start(t, fakeprovider.Options{APIKey: "k"})
	if status, _, _ := post(t, locked, "/embeddings", map[string]any{"input": []string{"a"}}); status != 401 {
		t.Errorf("wrong key: %d", status)
	}
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts fakeprovider.Options
		want time.Duration // for four concurrent requests of one text each
	}{
		{"texts per second", fakeprovider.Options{TextsPerSecond: 40}, 100 * time.Millisecond},
		{"parallel", fakeprovider.Options{Latency: 50 * time.Millisecond, Parallel: 2}, 100 * time.Millisecond},
		{"latency", fakeprovider.Options{Latency: 50 * time.Millisecond}, 50 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.opts.Dimensions = 4
			p := fakeprovider.Start(t, tt.opts)
			start := time.Now()
			done := make(chan struct{})
			for range 4 {
				go func() {
					defer func() { done <- struct{}{} }()
					embed(t, p, "base64", 0, "a")
				}()
			}
			for range 4 {
				<-done
			}
			if took := time.Since(start); took < tt.want {
				t.Errorf("took %s, want at least %s", took, tt.want)
			}
		})
	}
}

func TestCloseEndsHangingRequests(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	arrived := make(chan struct{})
	p.FailNext(func(a *fakeprovider.Answer) {
		close(arrived)
		fakeprovider.Hang(a)
	}, 1)
	failed := make(chan error, 1)
	go func() {
		resp, err := http.Post(p.URL()+"/embeddings", "application/json", bytes.NewReader([]byte(`{"input":["a"]}`)))
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	p.Close()
	if err := <-failed; err == nil {
		t.Error("a hanging request was answered")
	}
	p.Close() // a second Close has no effect
}
