// Package webhook sends deliveries to webhooks over HTTP. It signs them as the Standard Webhooks
// specification requires. It connects only to public addresses, because clients, who add webhooks,
// choose the addresses.
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
	// sendTimeout bounds one attempt, from the name lookup to the response.
	sendTimeout = 10 * time.Second

	// maxResponseBytes is how much of a response is read, in bytes, of its header and of its body
	// each. The body is discarded; reading it lets the connection be reused.
	maxResponseBytes = 16 << 10

	// maxReasonBytes is the maximum length of the reason of a failure, in bytes. Some errors quote
	// the data that was received.
	maxReasonBytes = 300
)

// Sender sends deliveries. It is safe for concurrent use.
type Sender struct {
	allow  []netip.Prefix
	client *http.Client
}

// NewSender returns a sender that connects to public addresses, and to addresses of the allowed
// networks. It uses no proxy, because a proxy would resolve names itself.
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

// checkDial refuses connections to addresses to which deliveries must not go. It checks the address
// to which the name was resolved for this connection, so that a name that resolves to another
// address a moment later is refused as well.
func (s *Sender) checkDial(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return checkAddress(to.Addr(), s.allow)
}

// Send posts the delivery and returns the HTTP status of the response, 0 if there was none. Unless
// the status is 2xx, it returns a fault.Error whose detail is written for the webhook's owner.
func (s *Sender) Send(ctx context.Context, delivery task.Delivery) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, delivery.URL, bytes.NewReader(delivery.Body))
	if err != nil {
		return 0, fault.Wrap(fault.BadRequest, err, "the webhook's url is not a valid URL")
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
	_, _ = io.CopyN(io.Discard, answer.Body, maxResponseBytes) // only the status matters
	status = answer.StatusCode
	switch answered := fmt.Sprintf("the receiver answered %d %s", status, http.StatusText(status)); {
	case status >= 200 && status <= 299:
		return status, nil
	case status >= 300 && status <= 399:
		return status, fault.New(fault.BadResponse, "%s, and redirects are not followed: add a webhook with the address of the redirect", answered)
	default:
		return status, fault.New(fault.BadResponse, "%s", answered)
	}
}

// sign returns the value of the header webhook-signature.
func sign(secret document.WebhookSecret, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sendError turns an error of the HTTP client into one that says why there was no response. It does
// not include the URL, which may contain a token, nor addresses of our network.
func sendError(err error) error {
	var reason string
	if refused, ok := errors.AsType[*refusedAddressError](err); ok {
		return fault.Wrap(fault.Forbidden, err, "%v", refused)
	} else if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		reason = "no answer within " + sendTimeout.String()
	} else if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		reason = "look up " + lookup.Name + ": " + lookup.Err
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
