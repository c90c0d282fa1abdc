package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// HasKey reports whether the request carries key, which must not be empty.
func HasKey(r *http.Request, key string) bool {
	_, err := staticKey(key).tenant(r)
	return err == nil
}

// authenticator says whose key this is. The key is empty when the request
// brings none.
type authenticator func(key string) (tenant string, ok bool)

// staticKey knows one key, the default tenant's; an empty one opens the door
// to everybody. Hashes are compared, so that the time it takes tells neither
// the key's bytes nor its length.
func staticKey(want string) authenticator {
	if want == "" {
		return func(string) (string, bool) { return tenant.Default, true }
	}
	wantHash := sha256.Sum256([]byte(want))
	return func(key string) (string, bool) {
		hash := sha256.Sum256([]byte(key))
		return tenant.Default, subtle.ConstantTimeCompare(hash[:], wantHash[:]) == 1
	}
}

// tenant returns whom the request acts for, or fault.Unauthenticated.
func (a authenticator) tenant(r *http.Request) (string, error) {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		key = ""
	}
	key = strings.TrimSpace(key)
	if id, ok := a(key); ok {
		return id, nil
	}
	if key == "" {
		return "", fault.New(fault.Unauthenticated, "send the key as 'Authorization: Bearer KEY'")
	}
	return "", fault.New(fault.Unauthenticated, "the key is not valid")
}
