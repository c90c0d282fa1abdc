package llm

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name   string
		header map[string]string
		want   time.Duration
	}{
		{"nothing", nil, 0},
		{"seconds", map[string]string{"Retry-After": "20"}, 20 * time.Second},
		{"fractions", map[string]string{"Retry-After": "0.5"}, 500 * time.Millisecond},
		{"date", map[string]string{"Retry-After": "Thu, 02 Jan 2025 03:05:00 GMT"}, 55 * time.Second},
		{"date in the past", map[string]string{"Retry-After": "Thu, 02 Jan 2025 03:00:00 GMT"}, 0},
		{"nonsense", map[string]string{"Retry-After": "soon"}, 0},
		{"not a number", map[string]string{"Retry-After": "NaN"}, 0},
		{"negative", map[string]string{"Retry-After": "-3"}, 0},
		{"too long", map[string]string{"Retry-After": "1e300"}, 10 * time.Minute},
		{"used up limit", map[string]string{
			"X-RateLimit-Remaining-Requests": "12", "X-RateLimit-Reset-Requests": "8h",
			"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "1m30s",
		}, 90 * time.Second},
		{"both used up", map[string]string{
			"X-RateLimit-Remaining-Requests": "0", "X-RateLimit-Reset-Requests": "120ms",
			"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "7",
		}, 7 * time.Second},
		{"Retry-After goes first", map[string]string{"Retry-After": "3", "X-RateLimit-Reset-Tokens": "9s"}, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for name, value := range tt.header {
				header.Set(name, value)
			}
			if got := retryAfter(header, now); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
