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
	// minProgressBytes is the number of bytes of a body that must arrive within the body time-out.
	// With a time-out of a minute, the slowest connections are faster, and a client that only keeps
	// its connection open is slower.
	minProgressBytes = 16 << 10

	// lingerTime bounds how long the client of a refused upload may continue to send before the
	// connection is cut.
	lingerTime = 2 * time.Second

	// drainedBytes is the number of bytes of a refused body that net/http reads by itself, to keep
	// the connection usable.
	drainedBytes = 256 << 10
)

// requestBody is the body of a request. It fails if the client sends too slowly, and keeps the error
// of reading: whatever error a step returns for a broken body, the cause is the client.
type requestBody struct {
	io.ReadCloser
	conn            *http.ResponseController
	timeout         time.Duration // for each minProgressBytes, without the time between two reads
	timeLeft        time.Duration // what is left of timeout
	progressRead    int           // bytes read since timeLeft was reset
	remaining       int64         // declared bytes that are not read yet; negative if none are declared
	expectsContinue bool          // the client waits for 100 Continue before it sends
	read            int64         // bytes
	ended           bool          // by its end or an error
	err             *fault.Error  // of reading
	lingering       bool          // see prepareLinger
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
		// net/http reads the rest of a short body before it writes the response. Without a deadline,
		// the client could delay that without limit.
		b.setReadDeadline(time.Now().Add(timeout))
	}
	return b
}

// Read implements io.Reader. Errors are fault.RequestTimeout or fault.BadRequest.
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
		return n, err // net/http has removed the deadline
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = fault.Wrap(fault.RequestTimeout, err, "the request body is too slow: after %d bytes, %d more arrived in %s; "+
			"send at least %d bytes in that time", b.read-int64(b.progressRead), b.progressRead, b.timeout, minProgressBytes)
	default:
		b.err = fault.Wrap(fault.BadRequest, err, "the request body cannot be read after %d bytes", b.read)
	}
	return n, b.err
}

// recordRead counts the bytes of a read and its duration. Time that a fast client does not use is not
// added to the next time-out.
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

// setReadDeadline sets the read deadline of the connection. It fails only for the responses of tests,
// which have no deadline.
func (b *requestBody) setReadDeadline(t time.Time) { _ = b.conn.SetReadDeadline(t) }

// prepareLinger must be called before an error response is written while the body is not read to its
// end. A client that still sends when the connection is closed sees a reset instead of the response.
// So the response is sent immediately, with Connection: close, and linger then reads a little longer.
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

// linger discards what the client still sends, if prepareLinger has found that necessary.
func (b *requestBody) linger(w http.ResponseWriter) {
	if !b.lingering {
		return
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	b.setReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, b.ReadCloser) // how it ends does not matter
}
