// Package webhook sends deliveries to webhooks over HTTP, signed as the
// Standard Webhooks are, and to public addresses only: clients, who add
// webhooks, choose where this process connects to.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// sendTimeout bounds one attempt, from the name's look-up to the answer.
	sendTimeout = 10 * time.Second

	// maxResponseBytes is how much of an answer is read, in bytes, of its header and
	// of its body each. It is thrown away: reading it lets the connection be
	// used again.
	maxResponseBytes = 16 << 10

	// maxReasonBytes is how much is told of why there was none, in bytes: some
	// errors quote what was received.
	maxReasonBytes = 300
)

// Sender sends deliveries. It is safe for concurrent use.
type Sender struct {
	allow  []netip.Prefix
	client *http.Client
}

// NewSender returns a sender that connects to public addresses, and to those of the
// allowed networks. It knows of no proxy, which would look names up for itself.
func NewSender(allow []netip.Prefix) *Sender {
	s := &Sender{allow: allow}
	dialer := &net.Dialer{Timeout: sendTimeout, Control: s.checkDial}
	s.client = &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    sendTimeout,
			MaxIdleConns:           128,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxResponseBytes,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// Close closes idle connections.
func (s *Sender) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// checkDial refuses to connect where deliveries must not go. It sees what the
// name was resolved to for this very connection, so that a name which resolves
// to something else a moment later gets nowhere either.
func (s *Sender) checkDial(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return checkAddress(to.Addr(), s.allow)
}

// Send posts the delivery and returns the HTTP status of the answer, 0 when
// there was none. Unless the answer is 2xx there is a fault.Error whose detail
// is for the webhook's owner.
func (s *Sender) Send(ctx context.Context, delivery task.Delivery) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, delivery.URL, bytes.NewReader(delivery.Body))
	if err != nil {
		return 0, fault.Wrap(fault.BadRequest, err, "the webhook's url is not readable")
	}
	id, timestamp := delivery.ID.String(), strconv.FormatInt(time.Now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "gristmill")
	request.Header.Set("webhook-id", id)
	request.Header.Set("webhook-timestamp", timestamp)
	request.Header.Set("webhook-signature", sign(delivery.Secret, id, timestamp, delivery.Body))
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, sendError(err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxResponseBytes) // the status has said it all
	status = answer.StatusCode
	switch answered := fmt.Sprintf("the receiver answered %d %s", status, http.StatusText(status)); {
	case status >= 200 && status <= 299:
		return status, nil
	case status >= 300 && status <= 399:
		return status, fault.New(fault.BadResponse, "%s, and redirects are not followed: add a webhook with the address that it leads to", answered)
	default:
		return status, fault.New(fault.BadResponse, "%s", answered)
	}
}

// sign returns the signature of a delivery for the header webhook-signature.
func sign(secret document.WebhookSecret, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sendError says why there was no answer. The URL is left out, since it may hold
// a token, and so are the addresses of our side.
func sendError(err error) error {
	var reason string
	if refused, ok := errors.AsType[*refusedAddressError](err); ok {
		return fault.Wrap(fault.Forbidden, err, "%v", refused)
	} else if waited, ok := errors.AsType[net.Error](err); ok && waited.Timeout() {
		reason = "no answer within " + sendTimeout.String()
	} else if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		reason = "look up " + unknown.Name + ": " + unknown.Err
	} else if failed, ok := errors.AsType[*net.OpError](err); ok {
		reason = failed.Err.Error()
	} else if failed, ok := errors.AsType[*url.Error](err); ok {
		reason = failed.Err.Error()
	}
	if len(reason) > maxReasonBytes {
		reason = reason[:maxReasonBytes] + "…"
	}
	return fault.Wrap(fault.Unavailable, err, "the receiver cannot be reached: %s", reason)
}
