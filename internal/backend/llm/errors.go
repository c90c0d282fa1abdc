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

const maxMessage = 500 // bytes of a provider's message that are shown

// settingNames names the settings of an operation.
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

// classify turns the error of a failed attempt into one with a kind. header is that of the
// response, nil if there was none.
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
		return fault.Wrap(fault.BadResponse, err, "%s returned invalid JSON", p.host)
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fault.Wrap(fault.BadResponse, err, "%s returned JSON of an unexpected shape", p.host)
	}
	if header != nil {
		return fault.Wrap(fault.InterruptedResponse, err, "%s broke off its response", p.host)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may contain a secret
	}
	return p.classifyUnreachable(operation, err)
}

// classifyUnreachable returns the error of a request that got no response.
func (p *OpenAI) classifyUnreachable(operation string, err error) error {
	settings := settingNamesOf(operation)
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return fault.Wrap(fault.Misconfigured, err, "host %s does not exist; set %s", p.host, settings.baseURL)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return fault.Wrap(fault.Misconfigured, err, "%s does not speak TLS; set %s to an address that begins with http://, or to the right port", p.host, settings.baseURL)
	}
	if isCertificateError(err) {
		return fault.Wrap(fault.Misconfigured, err, "the certificate of %s cannot be trusted (%v); set %s to a host name in the certificate, or SSL_CERT_FILE to the certificates of its issuer",
			p.host, err, settings.baseURL)
	}
	return fault.Wrap(fault.Unavailable, err, "%s cannot be reached", p.host)
}

// isCertificateError reports whether a TLS connection failed because of the certificate.
func isCertificateError(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return verification || authority || hostname || invalid
}

// classifyResponse returns the error for a response that does not contain what was requested.
func (p *OpenAI) classifyResponse(operation, model string, response *errorResponse) error {
	settings := settingNamesOf(operation)
	detail := p.host + " answered " + strconv.Itoa(response.httpStatus)
	message := sanitise(response.message, p.secrets)
	if message != "" {
		detail += ": " + message
	}
	wait := retryAfter(response.header, time.Now())
	switch cause := response.cause(); cause {
	case causeRateLimited:
		return fault.Wrap(fault.RateLimited, response, "%s", detail).WithRetryAfter(wait)
	case causeOverloaded:
		return fault.Wrap(fault.Unavailable, response, "%s", detail).WithRetryAfter(wait)
	case causeTooLong:
		return fault.Wrap(fault.InputTooLong, response, "%s", detail)
	case causeTooMany, causeWrongInput:
		return fault.Wrap(fault.InputRejected, response, "%s", detail)
	case causeWrongKey:
		// The message often quotes a part of the key.
		return fault.Wrap(fault.Misconfigured, response, "%s answered %d: the API key is not accepted; set %s", p.host, response.httpStatus, settings.key)
	case causeForbidden:
		return fault.Wrap(fault.Misconfigured, response, "%s; check the permissions of the key in %s", detail, settings.key)
	case causeNoCredit:
		return fault.Wrap(fault.Misconfigured, response, "%s; the account has no credit left: add credit at the provider, or set %s to a key of another account", detail, settings.key)
	case causeUnknownModel:
		return fault.Wrap(fault.Misconfigured, response, "%s; make model %s available at the provider, or set %s to a model that the provider has", detail, model, settings.model)
	case causeRedirected:
		return fault.Wrap(fault.Misconfigured, response, "%s answered %d and redirects to %s; set %s to the new address", p.host, response.httpStatus, response.location, settings.baseURL)
	case causeNoAPI:
		return fault.Wrap(fault.Misconfigured, response, "%s; set %s to the address of an OpenAI-compatible API (most end in /v1), and check that it has model %s", detail, settings.baseURL, model)
	default: // causeNotAModel
		if message != "" {
			message = ": " + message
		}
		return fault.Wrap(fault.Misconfigured, response, "%s answered with %s instead of a model's response%s; set %s to the address of an OpenAI-compatible API (most end in /v1)",
			p.host, response.notModelReason, message, settings.baseURL)
	}
}
