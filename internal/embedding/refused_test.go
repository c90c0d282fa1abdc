package embedding_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// refusing returns the answer function of a model that refuses bad texts, and requests of more than
// the given number of texts or bytes.
func refusing(texts, bytes int, bad ...string) func(context.Context, []string) error {
	return func(_ context.Context, sent []string) error {
		sum := 0
		for _, text := range sent {
			sum += len(text)
			if slices.Contains(bad, text) {
				return fault.New(fault.InputRejected, "host answered 400: a text is refused")
			}
		}
		if len(sent) > texts || sum > bytes {
			return fault.New(fault.InputRejected, "host answered 413: too much")
		}
		return nil
	}
}

// oneBatch has a cache send up to 64 texts in one request, one request after the other.
func oneBatch(c *embedding.CacheConfig) { c.BatchPassages, c.MaxInFlight = 64, 1 }

func TestRefusedTextDoesNotFailOthers(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string][]int{
		"one": {3}, "the first": {0}, "the last": {79}, "three": {0, 31, 79}, "neighbours": {40, 41}, "the first ten": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache, m := newCache(t, oneBatch)
			texts := words("grain", 80)
			var refused []string
			for _, i := range bad {
				refused = append(refused, texts[i])
			}
			m.answer = refusing(100, 1<<20, refused...)
			_, err := cache.Ensure(t.Context(), m.newRequest(texts...))
			refusal, ok := errors.AsType[*embedding.RefusedError](err)
			if !ok || !fault.Is(err, fault.InputRejected) || refusal.Untried != 0 {
				t.Fatalf("got %v, want a RefusedError", err)
			}
			var got []document.ContentHash
			for _, r := range refusal.Refusals {
				got = append(got, r.Hash)
				if r.Reason() != "host answered 400: a text is refused" {
					t.Errorf("reason %q", r.Reason())
				}
			}
			var want []document.ContentHash
			for _, text := range refused {
				want = append(want, document.HashText(text))
			}
			if !slices.Equal(got, want) || len(m.passages) != 80-len(bad) || m.complete != 0 {
				t.Errorf("%d refusals and %d passages, want %d refusals and the other passages", len(got), len(m.passages), len(bad))
			}
			sent := 0
			for _, n := range m.requests {
				sent += n
			}
			if bound := 80 + len(bad)*2*64; sent > bound {
				t.Errorf("%d texts were sent, want at most %d", sent, bound)
			}

			// On another attempt, or after the model accepts the text, only the missing texts are
			// sent.
			m.requests = nil
			if _, err := cache.Ensure(t.Context(), m.newRequest(texts...)); !fault.Is(err, fault.InputRejected) {
				t.Errorf("got %v", err)
			}
			m.answer = nil
			if n, err := cache.Ensure(t.Context(), m.newRequest(texts...)); err != nil || n != len(bad) {
				t.Errorf("embedded %d, %v; want the %d that were refused", n, err, len(bad))
			}
		})
	}
}

// A text without a valid vector is sent once more, in a request of its own; the other texts of its
// request are not sent again.
func TestInvalidVectorDoesNotFailOthers(t *testing.T) {
	t.Parallel()
	bad := map[string]bool{"grain 003": true, "grain 040": true, "grain 079": true}
	for name, want := range map[string]int{"always": len(bad), "only among others": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache, m := newCache(t, oneBatch)
			m.bad = func(text string, alone bool) bool { return bad[text] && (want > 0 || !alone) }
			n, err := cache.Ensure(t.Context(), m.newRequest(words("grain", 80)...))
			refused, _ := errors.AsType[*embedding.RefusedError](err)
			switch {
			case want == 0 && err != nil, want > 0 && (refused == nil || len(refused.Refusals) != want):
				t.Fatalf("got %v, want %d refusals", err, want)
			case want > 0 && (refused.Untried != 0 || refused.Refusals[0].Reason() != "host answered a vector with null"):
				t.Errorf("got %v", err)
			}
			if n != 80-want || len(m.passages) != 80-want {
				t.Errorf("%d were embedded and %d stored, want %d", n, len(m.passages), 80-want)
			}
			for text, times := range m.sent {
				if times > 1 && !bad[text] || times > 2 {
					t.Errorf("%q was sent %d times", text, times)
				}
			}
			m.bad = nil
			if n, err := cache.Ensure(t.Context(), m.newRequest(words("grain", 80)...)); err != nil || n != want {
				t.Errorf("embedded %d, %v; want the %d that were refused", n, err, want)
			}
		})
	}
}

// A model that refuses every text is not sent all of them.
func TestModelThatRefusesEveryText(t *testing.T) {
	t.Parallel()
	cache, m := newCache(t, oneBatch)
	m.answer = func(context.Context, []string) error { return fault.New(fault.InputRejected, "no") }
	_, err := cache.Ensure(t.Context(), m.newRequest(words("grain", 640)...))
	refused, ok := errors.AsType[*embedding.RefusedError](err)
	if !ok || len(refused.Refusals)+refused.Untried != 640 || len(m.requests) > 64 {
		t.Errorf("%d requests, %v", len(m.requests), err)
	}
}

func TestLimitIsLearnedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ texts, bytes, extra int }{
		"texts of a request":       {texts: 16, bytes: 1 << 20, extra: 64 + 32},
		"texts, an odd number":     {texts: 25, bytes: 1 << 20, extra: 64 + 32},
		"one text a request":       {texts: 1, bytes: 1 << 20, extra: 64 + 32 + 16 + 8 + 4 + 2},
		"tokens of a request":      {texts: 1000, bytes: 200, extra: 64 + 32},
		"both":                     {texts: 32, bytes: 200, extra: 64 + 32 + 32},
		"limits above our batches": {texts: 64, bytes: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cache, m := newCache(t, oneBatch)
				m.answer = refusing(test.texts, test.bytes)
				ensure := func(name string) (sent int) {
					m.requests = nil
					if n, err := cache.Ensure(t.Context(), m.newRequest(words(name, 128)...)); err != nil || n != 128 {
						t.Fatalf("embedded %d, %v", n, err)
					}
					for _, n := range m.requests {
						sent += n
					}
					return sent
				}
				if sent := ensure("grain"); sent > 128+test.extra {
					t.Errorf("%d texts were sent for 128, want at most %d more", sent, test.extra)
				}
				if sent := ensure("flour"); sent != 128 {
					t.Errorf("%d texts were sent the next time, want 128", sent)
				}
				<-time.After(2 * time.Hour) // fake clock; the limits have expired
				m.answer = nil              // and the model has no limit any more
				if sent := ensure("bread"); sent != 128 || len(m.requests) != 2 {
					t.Errorf("%d texts in %d requests, want 128 in 2", sent, len(m.requests))
				}
			})
		})
	}
}

// The headings above the content of passages count as well.
func TestLimitOnTokensCountsHeadings(t *testing.T) {
	t.Parallel()
	cache, m := newCache(t, oneBatch)
	m.answer = func(_ context.Context, sent []string) error {
		if len(strings.Join(sent, "")) > 2000 {
			return fault.New(fault.InputTooLong, "host answered 400: too many tokens in all")
		}
		return nil
	}
	ensure := func(name string) (sent int) {
		m.requests = nil
		req := m.newRequest()
		for _, content := range words(name, 128) {
			text := document.PassageText{HeadingPath: []string{strings.Repeat("a long heading ", 6)}, Content: content, Tokens: 3}
			req.Texts.Add(text.ContentHash(), text)
		}
		if n, err := cache.Ensure(t.Context(), req); err != nil || n != 128 {
			t.Fatalf("embedded %d, %v", n, err)
		}
		for _, n := range m.requests {
			sent += n
		}
		return sent
	}
	ensure("grain")
	if sent := ensure("flour"); sent != 128 {
		t.Errorf("%d texts were sent when the limit was known, want 128", sent)
	}
}

// A text that is too long is truncated to what the model accepts, and its EmbeddedBytes is set.
func TestTooLongTextIsTruncated(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("die Mühle mahlt das Korn ", 40) // 1,040 bytes
	tooLong := func(words string) func(context.Context, []string) error {
		return func(_ context.Context, sent []string) error {
			for _, text := range sent {
				if len(text) > 500 {
					return fault.New(fault.InputTooLong, "%s", strings.ReplaceAll(words, "$", fmt.Sprint(len(text))))
				}
			}
			return nil
		}
	}
	for name, test := range map[string]struct {
		words    string
		low, top int // range of EmbeddedBytes
		requests int
	}{
		"limit and length": {"host:1234 answered 400: maximum context length is 500 tokens, however you requested $ tokens", 440, 480, 4},
		"limit alone":      {"host:1234 answered 413: input exceeds 500 tokens", 440, 480, 4},
		"no numbers":       {"host:1234 answered 400: the input length exceeds the context length", 240, 270, 5},
		"thousands":        {"host answered 422: Given: 2,080 of at most 1_000", 440, 500, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache, m := newCache(t, func(c *embedding.CacheConfig) { c.MaxInFlight = 1 })
			m.answer = tooLong(test.words)
			req := m.newRequest("short", long)
			if n, err := cache.Ensure(t.Context(), req); err != nil || n != 2 {
				t.Fatalf("embedded %d, %v", n, err)
			}
			passage := m.passages[document.HashText(long)]
			if passage.EmbeddedBytes < test.low || passage.EmbeddedBytes > test.top || passage.Content != long {
				t.Errorf("%d bytes of %d are embedded, want %d to %d", passage.EmbeddedBytes, len(long), test.low, test.top)
			}
			if cut := long[:passage.EmbeddedBytes]; m.sent[cut] != 1 || !strings.HasPrefix(long[len(cut):], " ") {
				t.Errorf("embedded %q, want whole words", cut)
			}
			if n := len(m.requests); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			if m.passages[document.HashText("short")].EmbeddedBytes != 0 {
				t.Error("the other text was truncated too")
			}
			// The limit is known now.
			m.requests = nil
			longer := strings.Repeat("a longer one of another kind ", 100)
			if _, err := cache.Ensure(t.Context(), m.newRequest(longer, "another")); err != nil {
				t.Fatal(err)
			}
			if len(m.requests) != 2 || m.passages[document.HashText(longer)].EmbeddedBytes == 0 {
				t.Errorf("%d requests for another such text, want 2", len(m.requests))
			}
		})
	}
}

// A text that the model refuses at any length, or refuses after truncation, is refused.
func TestTextThatCannotBeTruncatedIsRefused(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]fault.Kind{"always too long": fault.InputTooLong, "then refused": fault.InputRejected} {
		cache, m := newCache(t)
		tries := 0
		m.answer = func(_ context.Context, sent []string) error {
			if !strings.HasPrefix(sent[len(sent)-1], "long") {
				return nil
			}
			if tries++; tries > 1 {
				return fault.New(second, "no")
			}
			return fault.New(fault.InputTooLong, "too long")
		}
		_, err := cache.Ensure(t.Context(), m.newRequest(strings.Repeat("long ", 500)))
		if refused, ok := errors.AsType[*embedding.RefusedError](err); !ok || len(refused.Refusals) != 1 || tries > 12 {
			t.Errorf("%s: %d tries, %v", name, tries, err)
		}
	}
}
