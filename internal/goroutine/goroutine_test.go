package goroutine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

func TestPanicBecomesError(t *testing.T) {
	t.Parallel()
	defect := func() error { panic("a defect") }
	inGroup := func(f func() error) error {
		group, ctx := goroutine.WithContext(t.Context())
		group.Go(f)
		<-ctx.Done() // the first error cancels the others
		return group.Wait()
	}
	for name, run := range map[string]func(func() error) error{
		"try":   goroutine.Try,
		"start": func(f func() error) error { return <-goroutine.Start(f) },
		"group": inGroup,
		"group, if room": func(f func() error) error {
			group := goroutine.NewGroup()
			group.TryGo(f)
			return group.Wait()
		},
	} {
		err := run(defect)
		panicked, ok := errors.AsType[*goroutine.PanicError](err)
		if !ok || panicked.Value != "a defect" || !strings.Contains(err.Error(), "goroutine_test.go") {
			t.Errorf("%s: got %v, want the panic with its stack", name, err)
		}
		if f := fault.As(err); f == nil || f.Kind != fault.Internal || strings.Contains(f.Detail, "a defect") {
			t.Errorf("%s: clients see %v", name, f)
		}
		want := errors.New("an error")
		if err := run(func() error { return want }); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want the function's error", name, err)
		}
	}
}

func TestPanicIsLogged(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*slog.Logger, func()){
		"go": func(log *slog.Logger, f func()) { goroutine.Go(log, "test", f) },
		"after": func(log *slog.Logger, f func()) {
			ctx, end := context.WithCancel(t.Context())
			goroutine.AfterFunc(ctx, log, "test", f)
			end()
		},
	} {
		lines := make(chan string, 1)
		start(slog.New(slog.NewTextHandler(writer(lines), nil)), func() { panic("a defect") })
		if line := <-lines; !strings.Contains(line, "a defect") || !strings.Contains(line, "what=test") {
			t.Errorf("%s: logged %s", name, line)
		}
	}
}

type writer chan string

func (w writer) Write(b []byte) (int, error) {
	w <- string(bytes.Clone(b))
	return len(b), nil
}
