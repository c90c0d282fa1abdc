package llm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const maxMessage = 500 // bytes shown of a provider's message

// settingNames are the names of what an operator sets for an operation.
type settingNames struct{ baseURL, key, model string }

func settingNamesOf(operation string) settingNames {
	if operation == opSummarise {
		return settingNames{
			baseURL: "GRISTMILL_SUMMARY_BASE_URL (GRISTMILL_OPENAI_BASE_URL where both share a provider)",
			key:     "GRISTMILL_SUMMARY_API_KEY (GRISTMILL_OPENAI_API_KEY where both share a provider)",
			model:   "GRISTMILL_SUMMARY_MODEL",
		}
	}
	return settingNames{"GRISTMILL_OPENAI_BASE_URL", "GRISTMILL_OPENAI_API_KEY", "GRISTMILL_EMBEDDING_MODEL"}
}

// classify gives a failed attempt its kind. Header is the answer's, nil when
// there was none.
func (p *OpenAI) classify(operation, model string, err error, header http.Header) error {
	if fault.As(err) != nil {
		return err
	}
	if e, ok := errors.AsType[*errorResponse](err); ok {
		return p.classifyResponse(operation, model, e)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, err, "%s did not answer within %s", p.host, p.timeout)
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.BadResponse, "%s answered more than %d bytes", p.host, e.Limit)
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fault.Wrap(fault.BadResponse, err, "%s answered what is not JSON", p.host)
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fault.Wrap(fault.BadResponse, err, "%s answered JSON of another shape", p.host)
	}
	if header != nil {
		return fault.Wrap(fault.InterruptedResponse, err, "%s broke off its answer", p.host)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may hold a secret
	}
	return p.classifyUnreachable(operation, err)
}

// classifyUnreachable is the failure of a request that got no answer.
func (p *OpenAI) classifyUnreachable(operation string, err error) error {
	set := settingNamesOf(operation)
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return fault.Wrap(fault.Misconfigured, err, "no host is called %s; set %s", p.host, set.baseURL)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return fault.Wrap(fault.Misconfigured, err, "%s does not speak TLS; set %s to an address that begins with http://, or to the right port", p.host, set.baseURL)
	}
	if isCertificateError(err) {
		return fault.Wrap(fault.Misconfigured, err, "the certificate of %s cannot be trusted (%v); set %s to the name in it, or SSL_CERT_FILE to the certificates of who issued it",
			p.host, err, set.baseURL)
	}
	return fault.Wrap(fault.Unavailable, err, "%s cannot be reached", p.host)
}

// isCertificateError reports whether a TLS connection failed for its certificate.
func isCertificateError(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return verification || authority || hostname || invalid
}

// classifyResponse is the failure behind an answer that is not one to what was asked.
func (p *OpenAI) classifyResponse(operation, model string, problem *errorResponse) error {
	set := settingNamesOf(operation)
	said := p.host + " answered " + strconv.Itoa(problem.httpStatus)
	message := sanitise(problem.message, p.secrets)
	if message != "" {
		said += ": " + message
	}
	wait := retryAfter(problem.header, time.Now())
	switch cause := problem.cause(); cause {
	case causeRateLimited:
		return fault.Wrap(fault.RateLimited, problem, "%s", said).WithRetryAfter(wait)
	case causeOverloaded:
		return fault.Wrap(fault.Unavailable, problem, "%s", said).WithRetryAfter(wait)
	case causeTooLong:
		return fault.Wrap(fault.InputTooLong, problem, "%s", said)
	case causeTooMany, causeWrongInput:
		return fault.Wrap(fault.InputRejected, problem, "%s", said)
	case causeWrongKey:
		// The words often quote a part of the key.
		return fault.Wrap(fault.Misconfigured, problem, "%s answered %d: it does not take the API key; set %s", p.host, problem.httpStatus, set.key)
	case causeForbidden:
		return fault.Wrap(fault.Misconfigured, problem, "%s; check what the key in %s may use", said, set.key)
	case causeNoCredit:
		return fault.Wrap(fault.Misconfigured, problem, "%s; the account has no credit left: add some at the provider, or set %s to a key of another account", said, set.key)
	case causeUnknownModel:
		return fault.Wrap(fault.Misconfigured, problem, "%s; have the provider serve model %s, or set %s to one that it has", said, model, set.model)
	case causeRedirected:
		return fault.Wrap(fault.Misconfigured, problem, "%s answered %d and redirects to %s; set %s to where it is", p.host, problem.httpStatus, problem.location, set.baseURL)
	case causeNoAPI:
		return fault.Wrap(fault.Misconfigured, problem, "%s; set %s to the address of an OpenAI-compatible API (most end in /v1), and check that it has model %s", said, set.baseURL, model)
	default: // alien
		if message != "" {
			message = ": " + message
		}
		return fault.Wrap(fault.Misconfigured, problem, "%s answered %s in place of what a model answers%s; set %s to the address of an OpenAI-compatible API (most end in /v1)",
			p.host, problem.notModelReason, message, set.baseURL)
	}
}
