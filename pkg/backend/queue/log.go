package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// complaintInterval is how often asynq's complaints are shown. While Redis is
// away each of its loops complains every second.
const complaintInterval = 10 * time.Second

// logger passes asynq's log on: what it does at debug level, what it complains
// about as warnings, now and then, and at debug level in between.
type logger struct {
	log       *slog.Logger
	complaint *rate.Sometimes
}

func newLogger(log *slog.Logger) logger {
	return logger{log: log, complaint: &rate.Sometimes{Interval: complaintInterval}}
}

func (l logger) Debug(args ...any) { l.debug(args) }
func (l logger) Info(args ...any)  { l.debug(args) }
func (l logger) Warn(args ...any)  { l.complain(args) }
func (l logger) Error(args ...any) { l.complain(args) }

// Fatal does not exit: whether the process ends is for main to say.
func (l logger) Fatal(args ...any) { l.complain(args) }

func (l logger) debug(args []any) {
	l.log.DebugContext(context.Background(), "asynq", "says", fmt.Sprint(args...))
}

func (l logger) complain(args []any) {
	level := slog.LevelDebug
	l.complaint.Do(func() { level = slog.LevelWarn })
	l.log.Log(context.Background(), level, "asynq complains; a Redis that cannot be reached is tried again", "says", fmt.Sprint(args...))
}
