package llm_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Invalid numbers make a vector invalid, in either encoding. Only their text is affected: the other
// vectors of the response are kept.
func TestInvalidNumbers(t *testing.T) {
	t.Parallel()
	model := document.Model{Name: "m", Dimensions: 3}
	for name, embedding := range map[string]string{
		"null":              `[0.1,null,0.3]`,
		"nulls":             `[null,null,null]`,
		"null as vector":    `null`,
		"a string":          `[0.1,"0.2",0.3]`,
		"strings":           `["0.1","0.2","0.3"]`,
		"nested":            `[[0.1,0.2,0.3]]`,
		"one nested":        `[0.1,[0.2],0.3]`,
		"an object":         `{"0":0.1,"1":0.2,"2":0.3}`,
		"too large":         `[1e39,0.2,0.3]`,
		"infinity":          `[Infinity,0.2,0.3]`,
		"infinity, signed":  `[0.1,-Infinity,0.3]`,
		"infinity, short":   `[0.1,0.2,inf]`,
		"no number":         `[NaN,0.2,0.3]`,
		"true":              `[true,0.2,0.3]`,
		"zeros":             `[0,0,-0.0]`,
		"nothing":           `[]`,
		"too short":         `[0.1,0.2]`,
		"too long":          `[0.1,0.2,0.3,0.4]`,
		"base64, broken":    `"!!!!"`,
		"base64, cut short": `"` + encoded(1, 1, 1)[:12] + `AAA="`,
		"base64, infinity":  `"` + encoded(float32(math.Inf(1)), 1, 1) + `"`,
		"base64, no number": `"` + encoded(float32(math.NaN()), 1, 1) + `"`,
	} {
		for _, test := range []struct {
			what     string
			texts    []string
			othersOK bool
			kind     fault.Kind
			requests int64
		}{
			{"every vector", numberedTexts(3), false, fault.Misconfigured, 2}, // includes the probe
			{"every vector, one text", []string{"bad"}, false, fault.Misconfigured, 2},
			{"one text, sent alone", []string{"bad"}, true, fault.InputRejected, 2},
			{"one of three texts", []string{"good", "bad", "fine"}, true, fault.InputRejected, 1},
		} {
			o, requests := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
				data := make([]string, len(r.Texts))
				for i, text := range r.Texts {
					data[i] = fmt.Sprintf(`{"object":"NaN or \"inf","index":%d,"embedding":[1,2,3]}`, i)
					if text == "bad" || !test.othersOK {
						data[i] = fmt.Sprintf(`{"index":%d,"embedding":%s}`, i, embedding)
					}
				}
				fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(data, ","))
				return true
			})
			got, err := o.Embed(t.Context(), model, test.texts)
			want := test.requests
			if _, length := errors.AsType[*provider.DimensionsError](err); length && len(test.texts) > 1 {
				want = 1 // the configured dimensions are wrong, whatever a probe returns
			}
			if e := fault.As(err); e == nil || e.Kind != test.kind || !strings.Contains(e.Detail, "returned ") {
				t.Errorf("%s, %s: got %v, %v", name, test.what, got, err)
			}
			if n := requests.Load(); n != want {
				t.Errorf("%s, %s: %d requests, want %d", name, test.what, n, want)
			}
			if len(test.texts) < 3 || !test.othersOK {
				if got != nil {
					t.Errorf("%s, %s: got %v", name, test.what, got)
				}
				continue
			}
			wrong, ok := errors.AsType[*provider.InvalidVectorsError](err)
			if !ok || len(wrong.Reasons) != 1 || wrong.Reasons[1] == "" || len(got) != 3 || got[1] != nil || len(got[0]) != 3 || len(got[2]) != 3 {
				t.Errorf("%s: kept %v of an answer with one bad vector; %v", name, got, err)
			}
		}
	}
}

func encoded(numbers ...float32) string {
	var b []byte
	for _, x := range numbers {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// The index of a vector must be that of a text.
func TestInvalidIndexes(t *testing.T) {
	t.Parallel()
	for _, index := range []string{"-1", "1", "9223372036854775807", "1e300", `"0"`, "0.5"} {
		o, _ := newScriptedProvider(t, func(w http.ResponseWriter, _ recordedRequest) bool {
			fmt.Fprintf(w, `{"data":[{"index":%s,"embedding":[1,2,3]}]}`, index)
			return true
		})
		_, err := o.Embed(t.Context(), document.Model{Name: "m", Dimensions: 3}, numberedTexts(1))
		if !fault.Is(err, fault.Misconfigured) {
			t.Errorf("%s: %v", index, err)
		}
	}
}

// A vector whose numbers do not fit into half precision is scaled to length 1. Its direction, which
// is all that counts, is kept. Other vectors are not changed.
func TestVectorsFitHalfPrecision(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		numbers [3]float32
		scaled  bool
	}{
		{[3]float32{0.1, -0.2, 0.3}, false},
		{[3]float32{60000, -1, 2}, false},
		{[3]float32{65504, 0, 1}, false},
		{[3]float32{70000, -35000, 10}, true},
		{[3]float32{3e38, -3e38, 3e38}, true},
		{[3]float32{1e-9, -2e-9, 1e-9}, true},
		{[3]float32{1e-40, 2e-40, 0}, true},
		{[3]float32{0.001, 1e-12, 0}, false},
	} {
		o, _ := newScriptedProvider(t, func(w http.ResponseWriter, _ recordedRequest) bool {
			fmt.Fprintf(w, `{"data":[{"index":0,"embedding":"%s"}]}`, encoded(test.numbers[:]...))
			return true
		})
		vectors, err := o.Embed(t.Context(), document.Model{Name: "m", Dimensions: 3}, numberedTexts(1))
		if err != nil {
			t.Errorf("%v: %v", test.numbers, err)
			continue
		}
		var length, dot, before float64
		for i, x := range vectors[0] {
			length += float64(x) * float64(x)
			before += float64(test.numbers[i]) * float64(test.numbers[i])
			dot += float64(x) * float64(test.numbers[i])
		}
		scaled := [3]float32(vectors[0]) != test.numbers
		if cosine := dot / math.Sqrt(length) / math.Sqrt(before); scaled != test.scaled || cosine < 0.999999 {
			t.Errorf("%v became %v", test.numbers, vectors[0])
		}
		if test.scaled && math.Abs(length-1) > 1e-6 {
			t.Errorf("vector %v has length %v", vectors[0], math.Sqrt(length))
		}
	}
}

// Unusual limits delay no request for long.
func TestUnusualLimits(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]map[string]string{
		"one token a minute":      {"X-RateLimit-Limit-Tokens": "1", "X-RateLimit-Remaining-Tokens": "1"},
		"none":                    {"X-RateLimit-Limit-Tokens": "0", "X-RateLimit-Limit-Requests": "0"},
		"negative":                {"X-RateLimit-Limit-Tokens": "-7", "X-RateLimit-Limit-Requests": "-7"},
		"no numbers":              {"X-RateLimit-Limit-Tokens": "many", "X-RateLimit-Limit-Requests": "NaN"},
		"huge":                    {"X-RateLimit-Limit-Tokens": "9223372036854775807", "X-RateLimit-Limit-Requests": "99999999999999999999"},
		"used up for a year":      {"X-RateLimit-Remaining-Requests": "0", "X-RateLimit-Reset-Requests": "9999h"},
		"used up for three years": {"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "94608000"},
		"Retry-After with 200":    {"Retry-After": "94608000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock(t)
			o, _ := newScriptedProvider(t, func(w http.ResponseWriter, _ recordedRequest) bool {
				for name, value := range header {
					w.Header().Set(name, value)
				}
				return false
			}, c.config(t))
			text := []string{strings.Repeat("a few words ", 400)}
			waited := 0
			for range 30 {
				if _, err := o.Embed(t.Context(), small, text); err != nil {
					e := fault.As(err)
					if e == nil || e.RetryAfter <= 0 || e.RetryAfter > maxWait {
						t.Fatalf("got %v (%+v)", err, e)
					}
					waited++
					c.add(e.RetryAfter)
				}
			}
			if waited > 1 {
				t.Errorf("waited %d times for a provider that answers", waited)
			}
		})
	}
}

// A provider that asks for a wait of three years gets a request after ten minutes.
func TestUnusualRetryAfter(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"94608000", "1e300", "Inf", "Fri, 31 Dec 2199 23:59:59 GMT", "-5", "NaN", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "99999999999999999999", ""} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			c := newClock(t)
			up := false
			o, _ := newScriptedProvider(t, func(w http.ResponseWriter, _ recordedRequest) bool {
				if up {
					return false
				}
				w.Header().Set("Retry-After", after)
				w.WriteHeader(503)
				return true
			}, c.config(t))
			_, err := o.Embed(t.Context(), small, numberedTexts(1))
			e := fault.As(err)
			if e == nil || e.RetryAfter <= 0 || e.RetryAfter > maxWait {
				t.Fatalf("got %v (%+v)", err, e)
			}
			up = true
			c.add(e.RetryAfter)
			wantEmbedded(t, o)
		})
	}
}
