package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// warnInterval is how often asynq's complaints are shown. While Redis is
// away each of its loops complains every second.
const warnInterval = 10 * time.Second

// asynqLogger passes asynq's log on: what it does at debug level, what it complains
// about as warnings, now and then, and at debug level in between.
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

// Fatal does not exit: whether the process ends is for main to say.
func (l asynqLogger) Fatal(args ...any) { l.warnSometimes(args) }

func (l asynqLogger) logDebug(args []any) {
	l.log.DebugContext(context.Background(), "asynq", "says", fmt.Sprint(args...))
}

func (l asynqLogger) warnSometimes(args []any) {
	level := slog.LevelDebug
	l.warnLimit.Do(func() { level = slog.LevelWarn })
	l.log.Log(context.Background(), level, "asynq complains; a Redis that cannot be reached is tried again", "says", fmt.Sprint(args...))
}
