package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// warnInterval is the time between two warnings from asynq that are logged as warnings. While Redis
// is down, each of asynq's loops logs one every second.
const warnInterval = 10 * time.Second

// asynqLogger forwards asynq's log. Messages about its work are logged at debug level. Of its
// warnings and errors, one per warnInterval is logged as a warning, and the others at debug level.
type asynqLogger struct {
	log       *slog.Logger
	warnLimit *rate.Sometimes
}

func newAsynqLogger(log *slog.Logger) asynqLogger {
	return asynqLogger{log: log, warnLimit: &rate.Sometimes{Interval: warnInterval}}
}

func (l asynqLogger) Debug(args ...any) { l.logDebug(args) }
func (l asynqLogger) Info(args ...any)  { l.logDebug(args) }
func (l asynqLogger) Warn(args ...any)  { l.warnSometimes(args) }
func (l asynqLogger) Error(args ...any) { l.warnSometimes(args) }

// Fatal does not exit: main decides whether the process ends.
func (l asynqLogger) Fatal(args ...any) { l.warnSometimes(args) }

func (l asynqLogger) logDebug(args []any) {
	l.log.DebugContext(context.Background(), "asynq", "message", fmt.Sprint(args...))
}

func (l asynqLogger) warnSometimes(args []any) {
	level := slog.LevelDebug
	l.warnLimit.Do(func() { level = slog.LevelWarn })
	l.log.Log(context.Background(), level, "asynq reports a problem; it retries a Redis that cannot be reached", "message", fmt.Sprint(args...))
}
