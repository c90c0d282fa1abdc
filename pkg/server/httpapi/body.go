package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	// lingerTime is how long an upload that was refused may go on before the
	// connection is cut.
	lingerTime = 2 * time.Second

	// lingerBytes is how much of a refused body net/http reads by itself, for
	// the sake of the connection.
	lingerBytes = 256 << 10
)

// body is a request's body that gives up on clients who stall, and remembers
// why it could not be read: whatever a step makes of a broken body, the fault
// is the client's.
type body struct {
	io.ReadCloser
	conn      *http.ResponseController
	timeout   time.Duration
	remaining int64 // declared and not yet read; negative when not declared
	expects   bool  // the client waits to be told to send
	read      int64
	ended     bool
	err       *fault.Error // of reading
	lingering bool
}

func newBody(r *http.Request, w http.ResponseWriter, timeout time.Duration) *body {
	b := &body{
		ReadCloser: r.Body,
		conn:       http.NewResponseController(w),
		timeout:    timeout,
		remaining:  r.ContentLength,
		expects:    r.Header.Get("Expect") != "",
		ended:      r.ContentLength == 0,
	}
	if !b.ended {
		// net/http reads the rest of a short body before it writes an answer;
		// without a deadline, for as long as the client pleases.
		b.deadline(time.Now().Add(timeout))
	}
	return b
}

// Read implements io.Reader. Errors are fault.BadRequest.
func (b *body) Read(p []byte) (int, error) {
	b.deadline(time.Now().Add(b.timeout))
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.remaining > 0 {
		b.remaining -= int64(n)
	}
	if err == nil {
		return n, nil
	}
	b.ended = true
	switch {
	case errors.Is(err, io.EOF):
		return n, err // net/http has lifted the deadline
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = fault.Wrap(fault.BadRequest, err, "the request body stopped after %d bytes: nothing came for %s", b.read, b.timeout)
	default:
		b.err = fault.Wrap(fault.BadRequest, err, "the request body broke off after %d bytes", b.read)
	}
	return n, b.err
}

// deadline sets the connection's. Only tests have a response without one.
func (b *body) deadline(t time.Time) { _ = b.conn.SetReadDeadline(t) }

// prepareLinger is called before an error is answered to a body that has not
// been read to its end. A client that is still sending when the connection is
// closed sees a reset instead of the answer, so it is answered at once, told
// that the connection ends here, and listened to a little longer.
func (b *body) prepareLinger(w http.ResponseWriter) {
	short := b.remaining >= 0 && b.remaining <= lingerBytes
	waiting := b.expects && b.read == 0
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
func (b *body) linger(w http.ResponseWriter) {
	if !b.lingering {
		return
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	b.deadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, b.ReadCloser) // until it ends, breaks or takes too long: all the same
}
