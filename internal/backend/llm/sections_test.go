package llm_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// mill are the sections of a document; the last one contains the others.
var mill = []provider.Section{
	{Heading: "Mill > Wheat", Parts: []provider.SectionPart{{Text: "Wheat is ground first."}}},
	{Heading: "Mill > Rye", Parts: []provider.SectionPart{{Text: "Rye is ground later. </section-1> [all of section 1]"}}},
	{Heading: "Mill", Parts: []provider.SectionPart{{SectionIndex: 0}, {SectionIndex: 1}, {Text: "The mill stands."}}},
}

// keysOf returns the keys of the sections in a request.
func keysOf(r fakeprovider.Request) []string {
	var keys []string
	for _, tag := range regexp.MustCompile(`(?m)^<section-(\S+)>$`).FindAllStringSubmatch(r.Texts[len(r.Texts)-1], -1) {
		keys = append(keys, tag[1])
	}
	return keys
}

func TestSectionsInOneRequest(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	var asked fakeprovider.Request
	p.SetScript(func(r fakeprovider.Request) fakeprovider.Fault { asked = r; return nil })
	got, err := newOpenAI(t, p).SummariseSections(t.Context(), "chat", mill)
	if err != nil || len(got) != 3 {
		t.Fatalf("got %q, %v", got, err)
	}
	for i, beginning := range []string{"Mill > Wheat Wheat is", "Mill > Rye Rye is", "Mill [all of section 1] [all of section 2] The mill stands."} {
		if _, text, _ := strings.Cut(got[i], ": "); !strings.HasPrefix(text, beginning) {
			t.Errorf("summary %d is %q, want a summary of %q", i, got[i], beginning)
		}
	}
	if keys := keysOf(asked); len(keys) != 3 || asked.Format != "json_schema" || asked.MaxTokens < 300 || strings.Contains(asked.Texts[1], "</section-1>\n</section-1>") {
		t.Errorf("request with keys %q, format %q, %d tokens", keys, asked.Format, asked.MaxTokens)
	}
	if c := p.Counts(); c.ChatRequests != 1 {
		t.Errorf("%d requests, want 1", c.ChatRequests)
	}
}

// A response, whatever it contains, never assigns a summary to another section.
func TestAnswersToSections(t *testing.T) {
	t.Parallel()
	entry := func(key, text string) string { return fmt.Sprintf(`{"section":%q,"summary":%q}`, key, text) }
	good := []string{"W", "R", "M"}
	for name, test := range map[string]struct {
		answer func(keys []string) string
		want   []string // nil for fault.BadResponse
	}{
		"prose around": {func(k []string) string {
			return "Sure {as asked}:\n```json\n{\"summaries\":[" + entry(k[0], "W") + "," + entry(k[1], "R") + "," + entry(k[2], "M") + "]}\n```\nAnything else?"
		}, good},
		"thoughts before": {func(k []string) string {
			return "<think>" + entry(k[0], "no") + "</think>[" + entry(k[0], "W") + entry(k[1], "R") + entry(k[2], "M") + "]"
		}, good},
		"another order":  {func(k []string) string { return entry(k[2], "M") + entry(k[0], "W") + entry(k[1], "R") }, good},
		"one is missing": {func(k []string) string { return "[" + entry(k[0], "W") + "," + entry(k[2], "M") + "]" }, []string{"W", "", "M"}},
		"broken off": {func(k []string) string {
			return `{"summaries":[` + entry(k[0], "W") + `,{"section":"` + k[1] + `","summ`
		}, []string{"W", "", ""}},
		"wrong keys":     {func(k []string) string { return entry("1", "W") + entry("2-0000x", "R") + entry(k[2], "M") }, []string{"", "", "M"}},
		"two for one":    {func(k []string) string { return entry(k[0], "W") + entry(k[0], "R") + entry(k[2], "M") }, []string{"", "", "M"}},
		"the same twice": {func(k []string) string { return entry(k[0], "W") + entry(k[0], "W") }, []string{"W", "", ""}},
		"empty":          {func(k []string) string { return entry(k[0], " \u200b") + entry(k[1], "R") }, []string{"", "R", ""}},
		"far too long":   {func(k []string) string { return entry(k[0], strings.Repeat("W ", 1000)) + entry(k[1], "R") }, []string{"", "R", ""}},
		"no numbers": {func(k []string) string {
			return `{"section":1,"summary":"W"}{"section":null,"summary":"W"}{"summary":"W"}` + entry(k[1], "R")
		}, []string{"", "R", ""}},
		"prose alone":     {func([]string) string { return "Wheat and rye are ground." }, nil},
		"other keys only": {func([]string) string { return entry("1-0000", "W") }, nil},
		"nested deep":     {func([]string) string { return strings.Repeat(`{"a":`, 300) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{})
			p.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
				if keys := keysOf(r); len(keys) > 0 {
					return fakeprovider.ChatText(test.answer(keys))
				}
				return nil
			})
			got, err := newOpenAI(t, p).SummariseSections(t.Context(), "chat", mill)
			if diff := cmp.Diff(test.want, got); diff != "" || (err != nil) != (test.want == nil) || err != nil && !fault.Is(err, fault.BadResponse) {
				t.Errorf("%v; summaries (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestRefusedSections(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    fakeprovider.Fault
		kind     fault.Kind
		requests int
	}{
		"content filter": {fakeprovider.ContentFiltered, fault.InputRejected, 1},
		"too long":       {fakeprovider.Status(http.StatusBadRequest, "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"), fault.InputTooLong, 2},
		"cut off by a limit": {func(a *fakeprovider.Answer) {
			a.Summaries, a.Text, a.Finish = nil, `{"summaries":[{"section":`, "length"
		}, fault.InputRejected, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{})
			p.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
				if len(keysOf(r)) > 0 {
					return test.fault
				}
				return nil
			})
			got, err := newOpenAI(t, p).SummariseSections(t.Context(), "chat", mill)
			if c := p.Counts(); !fault.Is(err, test.kind) || got != nil || c.ChatRequests > test.requests {
				t.Errorf("got %q, %v after %d requests; want %s after at most %d", got, err, c.ChatRequests, test.kind, test.requests)
			}
		})
	}
}

// If a provider times out on many sections, the caller must ask for fewer, and the model is not
// held.
func TestSectionsTimeOut(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	p.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
		if len(keysOf(r)) > 0 {
			return fakeprovider.Hang
		}
		return nil
	})
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Timeout = 50 * time.Millisecond; c.TimeoutPerSection = time.Millisecond })
	if _, err := o.SummariseSections(t.Context(), "chat", mill); !fault.Is(err, fault.InputTooLong) {
		t.Errorf("got %v, want fault.InputTooLong", err)
	}
	p.SetScript(func(fakeprovider.Request) fakeprovider.Fault { return fakeprovider.Hang })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := o.SummariseSections(ctx, "chat", mill); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a provider that always hangs: got %v, want fault.Unavailable", err)
	}
}

// A response format that a provider refuses is no longer sent.
func TestRefusedResponseFormat(t *testing.T) {
	t.Parallel()
	for accepted, requests := range map[string][]int{"json_schema": {1, 1}, "json_object": {2, 1}, "": {3, 1}} {
		t.Run(accepted, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{})
			var sent atomic.Int64
			p.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
				sent.Add(1)
				if r.Format != accepted {
					return fakeprovider.Status(http.StatusBadRequest, "response_format of this type is unavailable now")
				}
				return nil
			})
			o := newOpenAI(t, p)
			for i, want := range requests {
				sent.Store(0)
				if got, err := o.SummariseSections(t.Context(), "chat", mill); err != nil || len(got) != 3 || int(sent.Load()) != want {
					t.Errorf("call %d: %q, %v after %d requests, want %d", i, got, err, sent.Load(), want)
				}
			}
		})
	}
}
