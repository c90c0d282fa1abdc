package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	// minProgressBytes is how much of a body has to come within the time that it
	// has. At a minute that is less than the slowest lines do, and more than a
	// client sends who only wants to hold its place.
	minProgressBytes = 16 << 10

	// lingerTime is how long an upload that was refused may go on before the
	// connection is cut.
	lingerTime = 2 * time.Second

	// drainedBytes is how much of a refused body net/http reads by itself, for
	// the sake of the connection.
	drainedBytes = 256 << 10
)

// requestBody is a request's body that gives up on clients who stall or trickle, and
// remembers why it could not be read: whatever a step makes of a broken body,
// the fault is the client's.
type requestBody struct {
	io.ReadCloser
	conn            *http.ResponseController
	timeout         time.Duration // for each progressBytes; the time between reads is ours
	timeLeft        time.Duration // of it
	progressRead    int           // bytes since it began
	remaining       int64         // declared and not yet read; negative when not declared
	expectsContinue bool          // the client waits to be told to send
	read            int64
	ended           bool
	err             *fault.Error // of reading
	lingering       bool
}

func newRequestBody(r *http.Request, w http.ResponseWriter, timeout time.Duration) *requestBody {
	b := &requestBody{
		ReadCloser:      r.Body,
		conn:            http.NewResponseController(w),
		timeout:         timeout,
		timeLeft:        timeout,
		remaining:       r.ContentLength,
		expectsContinue: r.Header.Get("Expect") != "",
		ended:           r.ContentLength == 0,
	}
	if !b.ended {
		// net/http reads the rest of a short body before it writes an answer;
		// without a deadline, for as long as the client pleases.
		b.setReadDeadline(time.Now().Add(timeout))
	}
	return b
}

// Read implements io.Reader. Errors are fault.RequestTimeout, or
// fault.BadRequest.
func (b *requestBody) Read(p []byte) (int, error) {
	began := time.Now()
	b.setReadDeadline(began.Add(b.timeLeft))
	n, err := b.ReadCloser.Read(p)
	b.recordRead(n, time.Since(began))
	if err == nil {
		return n, nil
	}
	b.ended = true
	switch {
	case errors.Is(err, io.EOF):
		return n, err // net/http has lifted the deadline
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = fault.Wrap(fault.RequestTimeout, err, "the request body is too slow: after %d bytes, %d more came in %s; "+
			"send at least %d in that time", b.read-int64(b.progressRead), b.progressRead, b.timeout, minProgressBytes)
	default:
		b.err = fault.Wrap(fault.BadRequest, err, "the request body broke off after %d bytes", b.read)
	}
	return n, b.err
}

// recordRead counts what has been read, and how long it took. Time that is left over
// is not saved up.
func (b *requestBody) recordRead(n int, took time.Duration) {
	b.read += int64(n)
	if b.remaining > 0 {
		b.remaining -= int64(n)
	}
	b.timeLeft -= took
	if b.progressRead += n; b.progressRead >= minProgressBytes {
		b.timeLeft, b.progressRead = b.timeout, 0
	}
}

// setReadDeadline sets the connection's. Only tests have a response without one.
func (b *requestBody) setReadDeadline(t time.Time) { _ = b.conn.SetReadDeadline(t) }

// prepareLinger is called before an error is answered to a body that has not
// been read to its end. A client that is still sending when the connection is
// closed sees a reset instead of the answer, so it is answered at once, told
// that the connection ends here, and listened to a little longer.
func (b *requestBody) prepareLinger(w http.ResponseWriter) {
	short := b.remaining >= 0 && b.remaining <= drainedBytes
	waiting := b.expectsContinue && b.read == 0
	if b.ended || short || waiting {
		return
	}
	if err := b.conn.EnableFullDuplex(); err != nil {
		return
	}
	w.Header().Set("Connection", "close")
	b.lingering = true
}

// linger reads what still comes, if prepareLinger found it necessary.
func (b *requestBody) linger(w http.ResponseWriter) {
	if !b.lingering {
		return
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	b.setReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, b.ReadCloser) // until it ends, breaks or takes too long: all the same
}
