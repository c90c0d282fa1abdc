package llm

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plainBodies are responses, and whether fastDecodeVectors decodes them.
var plainBodies = map[string]bool{
	`{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}`: true,
	" {\n \"data\" : [ { \"index\" : 12 , \"embedding\" : \"AACAPwAAAEA=\" } , {\"embedding\":\"\",\"index\":3} ] \r\n}\t":                            true,
	`{"usage":null,"data":[]}`:                                         true,
	`{"data":[],"a":[1,{"b":"}"},[]],"c":-1.5e3}`:                      true,
	`{"data":[{"index":0,"embedding":[1,2]}]}`:                         false,
	`{"data":[{"index":0,"embedding":"AACAPw\/="}]}`:                   false,
	`{"data":[{"index":0,"embedding":"AACAP\u0077=="}]}`:               false,
	"{\"data\":[{\"index\":0,\"embedding\":\"AACA\nPw==\"}]}":          false,
	`{"data":[{"index":0,"embedding":"AACAPw"}]}`:                      false,
	`{"data":[{"index":0,"embedding":"AAC!Pw=="}]}`:                    false,
	`{"data":[{"index":0,"embedding":"AACAPwA="}]}`:                    false,
	`{"data":[{"index":-1,"embedding":"AACAPw=="}]}`:                   false,
	`{"data":[{"index":01,"embedding":"AACAPw=="}]}`:                   false,
	`{"data":[{"index":1.0,"embedding":"AACAPw=="}]}`:                  false,
	`{"data":[{"index":"0","embedding":"AACAPw=="}]}`:                  false,
	`{"data":[{"index":99999999999999999999,"embedding":"AACAPw=="}]}`: false,
	`{"data":[{"embedding":"AACAPw=="}]}`:                              false,
	`{"data":[{"index":0}]}`:                                           false,
	`{"data":[{"index":0,"Index":1,"embedding":"AACAPw=="}]}`:          false,
	`{"data":[{"index":0,"index":1,"embedding":"AACAPw=="}]}`:          false,
	`{"data":[],"data":[]}`:                                            false,
	`{"Data":[]}`:                                                      false,
	`{"data":null}`:                                                    false,
	`{"data":[]} x`:                                                    false,
	`{"data":[],}`:                                                     false,
	`{"data":[,]}`:                                                     false,
	`{"data":[]`:                                                       false,
	`{"data":[],"a":tru}`:                                              false,
	`{"data":[],"a":}`:                                                 false,
	`{"data":[],"a":NaN}`:                                              false,
	`{"data":[],"a":[}`:                                                false,
	`{"data":[],"a` + "\x01" + `":1}`:                                  false,
	"{\"data\":[],\"a\":\"x\n\"}":                                      false,
	`{"data":[],"a":"\\\"","b":"\","c":[]}`:                            false,
	`{"error":"no"}`:                                                   false,
	`[]`:                                                               false,
	``:                                                                 false,
}

func TestFastDecodeVectors(t *testing.T) {
	t.Parallel()
	for body, want := range plainBodies {
		if _, plain := fastDecodeVectors([]byte(body)); plain != want {
			t.Errorf("%q: plain is %t, want %t", body, plain, want)
		}
		checkPlain(t, body)
	}
}

func FuzzFastDecodeVectors(f *testing.F) {
	for body := range plainBodies {
		f.Add(body)
	}
	f.Fuzz(checkPlain)
}

// checkPlain checks that a response that fastDecodeVectors decodes is equal to what encoding/json
// decodes.
func checkPlain(t *testing.T, body string) {
	got, plain := fastDecodeVectors([]byte(body))
	if !plain {
		return
	}
	var want vectorAnswer
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		t.Fatalf("%q is plain, but: %v", body, err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(encodedVector{}), cmp.Comparer(func(a, b usage) bool { return string(a) == string(b) })); diff != "" {
		t.Errorf("%q (-encoding/json +plain):\n%s", body, diff)
	}
}

// BenchmarkVectorsAnswer decodes a response with 64 vectors of 1,536 numbers.
func BenchmarkDecodeVectors(b *testing.B) {
	body := []byte(`{"object":"list","data":[`)
	for i := range 64 {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"object":"embedding","index":1,"embedding":"`+strings.Repeat("AACAPwAAAEAAAIA/", 512)+`"}`...)
	}
	body = append(body, `],"model":"m","usage":{"prompt_tokens":7}}`...)
	for name, decode := range map[string]func() bool{
		"plain": func() bool { _, plain := fastDecodeVectors(body); return plain },
		"json":  func() bool { var answer vectorAnswer; return json.Unmarshal(body, &answer) == nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if !decode() {
					b.Fatal("not decoded")
				}
			}
		})
	}
}
