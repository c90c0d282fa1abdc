package app_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/seed-7a112592/gristmill/internal/app"
	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/fault"
)

// PrintModels shows which models are held, why and for how long, and can end the holds.
func TestPrintModels(t *testing.T) {
	t.Parallel()
	config := app.Config{RedisURL: "redis://" + miniredis.RunT(t).Addr()}
	log := slog.New(slog.DiscardHandler)
	models := func(lift bool) string {
		t.Helper()
		var out bytes.Buffer
		if err := app.PrintModels(t.Context(), config, log, lift, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := models(true); got != "no model is held\n" {
		t.Errorf("got %q", got)
	}
	l, err := progress.NewStore(progress.Config{RedisURL: config.RedisURL, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	limiter := progress.NewRateLimiter(l)
	limiter.Hold(t.Context(), "api.example.com/large", fault.New(fault.Misconfigured, "set the key").WithRetryAfter(5*time.Minute))
	for _, lift := range []bool{false, true} {
		got := models(lift)
		for _, want := range []string{"api.example.com/large", "misconfigured", "set the key"} {
			if !strings.Contains(got, want) {
				t.Errorf("got %[2]s, want %[1]q in it", want, got)
			}
		}
		if now := strings.Contains(got, "now"); now != lift {
			t.Errorf("lift %t: got %s", lift, got)
		}
	}
	if _, try, held := limiter.Reserve(t.Context(), "api.example.com/large", 1, false, 0); try != 1 || held != nil {
		t.Errorf("got try %d, held for %v; want the first try", try, held)
	}
	config.RedisURL = "redis://127.0.0.1:1"
	if err := app.PrintModels(t.Context(), config, log, false, &bytes.Buffer{}); err == nil {
		t.Error("without Redis: got no error")
	}
}
