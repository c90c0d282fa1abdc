package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// HasKey reports whether the request has the key. key must not be empty.
func HasKey(r *http.Request, key string) bool {
	_, err := staticKey(key).tenant(r)
	return err == nil
}

// authenticator returns the tenant of a key. The key is empty if the request has none.
type authenticator func(key string) (tenant string, ok bool)

// staticKey returns an authenticator with one key, which is the default tenant's. If want is empty,
// it accepts every request. It compares hashes, so that the duration reveals neither the bytes of the
// key nor its length.
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

// tenant returns the tenant of the request, or fault.Unauthenticated.
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
