package webhook_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/webhook"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// The programs test the receivers in docs/webhooks.md. Each reads requests from standard input and
// prints for each request whether it is genuine.
const (
	goProgram = `package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	var requests []struct{ Secret, ID, Timestamp, Signature, Body string }
	if err := json.NewDecoder(os.Stdin).Decode(&requests); err != nil {
		panic(err)
	}
	for _, r := range requests {
		header := http.Header{}
		header.Set("webhook-id", r.ID)
		header.Set("webhook-timestamp", r.Timestamp)
		header.Set("webhook-signature", r.Signature)
		fmt.Println(verify(r.Secret, header, []byte(r.Body)))
	}
}

`
	pythonProgram = `

import json, sys
for r in json.load(sys.stdin):
    headers = {"webhook-id": r["ID"], "webhook-timestamp": r["Timestamp"], "webhook-signature": r["Signature"]}
    print(str(verify(r["Secret"], headers, r["Body"].encode())).lower())
`
)

type received struct{ Secret, ID, Timestamp, Signature, Body string }

func TestDocumentedReceivers(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	requests := make(chan received, 1)
	receiver := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- received{ID: r.Header.Get("webhook-id"), Timestamp: r.Header.Get("webhook-timestamp"), Signature: r.Header.Get("webhook-signature"), Body: string(body)}
	})
	sent := newDelivery(receiver.URL)
	if _, err := newSender(t).Send(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	genuine := <-requests
	secret, err := sent.Secret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	genuine.Secret = string(secret)
	forged, replayed, other, nonsense := genuine, genuine, genuine, genuine
	forged.Body += " "
	replayed.Timestamp = strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	replayed.Signature = webhook.Sign(sent.Secret, replayed.ID, replayed.Timestamp, sent.Body)
	other.ID += "0"
	nonsense.Timestamp, nonsense.Signature = "now", "ключ"
	input, err := json.Marshal([]received{genuine, forged, replayed, other, nonsense})
	if err != nil {
		t.Fatal(err)
	}
	const want = "true false false false false"

	for language, receiver := range map[string]struct {
		file    string
		text    string
		command []string
	}{
		"go":     {"main.go", goProgram + example(t, page, "go"), []string{"go", "run", "main.go"}},
		"python": {"main.py", example(t, page, "python") + pythonProgram, []string{"python3", "main.py"}},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(receiver.command[0]); err != nil {
				services.SkipOrFail(t, "%v", err)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, receiver.file), []byte(receiver.text), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), receiver.command[0], receiver.command[1:]...)
			command.Dir, command.Stdin = dir, bytes.NewReader(input)
			var stderr strings.Builder
			command.Stderr = &stderr
			out, err := command.Output()
			if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != want {
				t.Errorf("genuine, forged, replayed, another delivery's, nonsense: got %s, %v, want %s\n%s", got, err, want, &stderr)
			}
		})
	}
}

// example returns the first example of the page in a language.
func example(t *testing.T, page []byte, language string) string {
	t.Helper()
	match := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if match == nil {
		t.Fatalf("there is no example in %s", language)
	}
	return string(match[1])
}
