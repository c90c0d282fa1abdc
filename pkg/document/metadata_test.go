package document_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestCanonicalMetadata(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, want string }{
		{``, `{}`},
		{"  \n", `{}`},
		{`{}`, `{}`},
		{`{"b": 1, "a" : [true, null, "x"]}`, `{"a":[true,null,"x"],"b":1}`},
		{`{"a":1,"a":2}`, `{"a":2}`},
		{`{"n":12345678901234567890.125}`, `{"n":12345678901234567890.125}`},
		{`{"lone":"\ud800"}`, "{\"lone\":\"\ufffd\"}"},
	} {
		got, err := document.CanonicalMetadata(json.RawMessage(test.in))
		if err != nil || string(got) != test.want {
			t.Errorf("CanonicalMetadata(%q) = %s, %v; want %s", test.in, got, err, test.want)
		}
	}
}

func TestCanonicalMetadataErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in     string
		offset int64
		reason string
	}{
		{`{"a":}`, 5, "not JSON"},
		{`{"a":1`, 6, "ends too early"},
		{`[1]`, 0, "not a JSON object"},
		{`null`, 0, "not a JSON object"},
		{`{} {}`, 3, "has text after"},
		{`{"a":"x\u0000"}`, 4, "NUL"},
		{`{"a":1e999}`, 4, "out of range"},
		{strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40), 159, "deeper"},
		{`{"a":"` + strings.Repeat("x", 70_000) + `"}`, 65536, "bytes long"},
	} {
		_, err := document.CanonicalMetadata(json.RawMessage(test.in))
		bad, ok := errors.AsType[*document.MetadataError](err)
		if !ok || bad.Offset != test.offset || !strings.Contains(bad.Reason, test.reason) {
			t.Errorf("CanonicalMetadata(%.40q) = %v, want offset %d and %q", test.in, err, test.offset, test.reason)
		}
	}
}

func FuzzCanonicalMetadata(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2,{"b":null}]}`, `{`, `"x"`, `{"a":"\ud800"}`, `{"":0}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		once, err := document.CanonicalMetadata(raw)
		if err != nil {
			return
		}
		twice, err := document.CanonicalMetadata(once)
		if err != nil || string(once) != string(twice) {
			t.Errorf("CanonicalMetadata(%q) = %s, but CanonicalMetadata of that = %s, %v", raw, once, twice, err)
		}
	})
}
