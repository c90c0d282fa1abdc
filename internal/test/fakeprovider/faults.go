package fakeprovider

import (
	"math"
	"net/http"
	"time"
)

// Answer is what the provider is about to send. A Fault changes it.
type Answer struct {
	Status         int           // 0 for 200
	Message        string        // of the error, when Status is not 200
	Header         http.Header   // further headers
	Delay          time.Duration // before it is sent
	Hang           bool          // it is never sent
	Truncate       bool          // it ends in the middle, and the connection with it
	Raw            string        // sent in place of the answer, or of the error
	NoBody         bool          // an error without a body
	SendFloats     bool          // vectors are sent as numbers, whatever was asked for
	NullVector     *int          // the vector with this index, of numbers, has a null in it
	Usage          string        // sent as the answer's usage, in JSON; what was counted when empty
	Correct        bool          // a Fault has left it right: it counts as answered well
	InvalidVectors []int         // but for the vectors with these indexes

	Vectors []IndexedVector // vectors, of an answer to a request for embeddings
	Text    string          // of an answer to a request for a chat completion

	Summaries []SectionSummary // of such an answer, behind its Text; nil where one text is asked for
	Finish    string           // why it ended: stop
}

// ok reports whether the status is 200.
func (a *Answer) ok() bool { return a.Status == 0 || a.Status == http.StatusOK }

// IndexedVector is one vector of an answer.
type IndexedVector struct {
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
func WrongCount(a *Answer) { a.Vectors = a.Vectors[:len(a.Vectors)-1] }

// WrongOrder sends the vectors last to first, each with its right index.
func WrongOrder(a *Answer) {
	for i, j := 0, len(a.Vectors)-1; i < j; i, j = i+1, j-1 {
		a.Vectors[i], a.Vectors[j] = a.Vectors[j], a.Vectors[i]
	}
}

// DuplicateIndex gives the last vector the index of the first.
func DuplicateIndex(a *Answer) { a.Vectors[len(a.Vectors)-1].Index = a.Vectors[0].Index }

// IndexOutOfRange gives the last vector an index that no text has.
func IndexOutOfRange(a *Answer) { a.Vectors[len(a.Vectors)-1].Index = len(a.Vectors) }

// WrongDimension leaves the last number of every vector out.
func WrongDimension(a *Answer) {
	for i, d := range a.Vectors {
		a.Vectors[i].Vector = d.Vector[:len(d.Vector)-1]
	}
}

// NaN makes one number of the last vector not a number. Where vectors are sent
// as numbers it is a word that JSON does not have.
func NaN(a *Answer) { a.Vectors[len(a.Vectors)-1].Vector[0] = float32(math.NaN()) }

// ZeroVector makes the last vector zero.
func ZeroVector(a *Answer) { clear(a.Vectors[len(a.Vectors)-1].Vector) }

// EmptyText answers a chat completion without text.
func EmptyText(a *Answer) { a.Text, a.Summaries = "", nil }

// ContentFiltered answers a chat completion as a content filter leaves it: empty.
func ContentFiltered(a *Answer) {
	EmptyText(a)
	a.Finish = "content_filter"
}
