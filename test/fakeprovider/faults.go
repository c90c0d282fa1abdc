package fakeprovider

import (
	"math"
	"net/http"
	"time"
)

// Answer is what the provider is about to send. A Fault changes it.
type Answer struct {
	Status   int           // 0 for 200
	Message  string        // of the error, when Status is not 200
	Header   http.Header   // further headers
	Delay    time.Duration // before it is sent
	Hang     bool          // it is never sent
	Truncate bool          // it ends in the middle, and the connection with it
	Raw      string        // sent in place of the answer, or of the error
	Bare     bool          // an error without a body
	Floats   bool          // vectors are sent as numbers, whatever was asked for
	Null     *int          // the vector with this index, of numbers, has a null in it
	Usage    string        // sent as the answer's usage, in JSON; what was counted when empty
	Right    bool          // a Fault has left it right: it counts as answered well
	Spoilt   []int         // but for the vectors with these indexes

	Data []Datum // vectors, of an answer to a request for embeddings
	Text string  // of an answer to a request for a chat completion

	Summaries []SectionSummary // of such an answer, behind its Text; nil where one text is asked for
	Finish    string           // why it ended: stop
}

// ok reports whether the status is 200.
func (a *Answer) ok() bool { return a.Status == 0 || a.Status == http.StatusOK }

// Datum is one vector of an answer.
type Datum struct {
	Index  int
	Vector []float32
}

// Fault makes an answer a wrong one.
type Fault func(*Answer)

// Status answers an error with the given status and message, and headers in
// pairs of name and value.
func Status(code int, message string, headers ...string) Fault {
	return func(a *Answer) {
		a.Status, a.Message = code, message
		for i := 0; i+1 < len(headers); i += 2 {
			a.Header.Set(headers[i], headers[i+1])
		}
	}
}

// RateLimit answers 429 with the Retry-After header, or without when empty.
func RateLimit(retryAfter string) Fault {
	if retryAfter == "" {
		return Status(http.StatusTooManyRequests, "rate limit reached")
	}
	return Status(http.StatusTooManyRequests, "rate limit reached", "Retry-After", retryAfter)
}

// Raw sends the given body in place of the answer.
func Raw(body string) Fault {
	return func(a *Answer) { a.Raw = body }
}

// Hang never answers: it holds the request until the client gives up or the
// provider is closed.
func Hang(a *Answer) { a.Hang = true }

// TruncatedJSON breaks off in the middle of the answer.
func TruncatedJSON(a *Answer) { a.Truncate = true }

// WrongCount leaves the last vector out.
func WrongCount(a *Answer) { a.Data = a.Data[:len(a.Data)-1] }

// WrongOrder sends the vectors last to first, each with its right index.
func WrongOrder(a *Answer) {
	for i, j := 0, len(a.Data)-1; i < j; i, j = i+1, j-1 {
		a.Data[i], a.Data[j] = a.Data[j], a.Data[i]
	}
}

// DuplicateIndex gives the last vector the index of the first.
func DuplicateIndex(a *Answer) { a.Data[len(a.Data)-1].Index = a.Data[0].Index }

// IndexOutOfRange gives the last vector an index that no text has.
func IndexOutOfRange(a *Answer) { a.Data[len(a.Data)-1].Index = len(a.Data) }

// WrongDimension leaves the last number of every vector out.
func WrongDimension(a *Answer) {
	for i, d := range a.Data {
		a.Data[i].Vector = d.Vector[:len(d.Vector)-1]
	}
}

// NaN makes one number of the last vector not a number. Where vectors are sent
// as numbers it is a word that JSON does not have.
func NaN(a *Answer) { a.Data[len(a.Data)-1].Vector[0] = float32(math.NaN()) }

// ZeroVector makes the last vector zero.
func ZeroVector(a *Answer) { clear(a.Data[len(a.Data)-1].Vector) }

// EmptyText answers a chat completion without text.
func EmptyText(a *Answer) { a.Text, a.Summaries = "", nil }

// Filtered answers a chat completion as a content filter leaves it: empty.
func Filtered(a *Answer) {
	EmptyText(a)
	a.Finish = "content_filter"
}
