package document_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestNewWebhookSecret(t *testing.T) {
	t.Parallel()
	secret := document.NewWebhookSecret()
	if bytes.Equal(secret, document.NewWebhookSecret()) {
		t.Error("two secrets are the same")
	}
	text, err := secret.MarshalText()
	if err != nil || !strings.HasPrefix(string(text), "whsec_") {
		t.Fatalf("text %s, %v", text, err)
	}
	var back document.WebhookSecret
	if err := back.UnmarshalText(text); err != nil || !bytes.Equal(back, secret) {
		t.Errorf("UnmarshalText(%s): %v, %v; want %v", text, back, err, secret)
	}
}

func TestUnmarshalWebhookSecret(t *testing.T) {
	t.Parallel()
	newText := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for text, ok := range map[string]bool{
		newText(23): false, newText(24): true, newText(64): true, newText(65): false,
		"": false, "whsec_": false, strings.TrimPrefix(newText(24), "whsec_"): false, newText(24) + "=": false, "whsec_" + strings.Repeat("*", 32): false,
	} {
		var secret document.WebhookSecret
		if err := secret.UnmarshalText([]byte(text)); (err == nil) != ok {
			t.Errorf("UnmarshalText(%q): %v, want success: %t", text, err, ok)
		}
	}
}
