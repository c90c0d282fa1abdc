package fakeprovider

import (
	"math"
	"net/http"
	"time"
)

// Answer is an answer before it is sent. A Fault changes it.
type Answer struct {
	Status         int           // 0 for 200
	Message        string        // error message, if Status is not 200
	Header         http.Header   // additional headers
	Delay          time.Duration // delay before the answer is sent
	Hang           bool          // the answer is never sent
	Truncate       bool          // the answer and the connection end in the middle
	Raw            string        // body sent instead of the answer or the error
	NoBody         bool          // the error has no body
	SendFloats     bool          // vectors are sent as numbers, regardless of encoding_format
	NullVector     *int          // the vector with this index, sent as numbers, contains a null
	Usage          string        // JSON sent as the usage; "" for the counted usage
	Correct        bool          // the answer counts as correct in spite of its Fault
	InvalidVectors []int         // indexes of the vectors that are wrong nevertheless

	Vectors []IndexedVector // the vectors, in an answer to a request for embeddings
	Text    string          // the text, in an answer to a request for a chat completion

	Summaries []SectionSummary // summaries after Text in such an answer; nil if the request is for one text
	Finish    string           // finish_reason; normally "stop"
}

// ok reports whether the status is 200.
func (a *Answer) ok() bool { return a.Status == 0 || a.Status == http.StatusOK }

// IndexedVector is one vector of an answer.
type IndexedVector struct {
	Index  int
	Vector []float32
}

// Fault makes an answer wrong.
type Fault func(*Answer)

// Status answers with an error status, a message, and headers given as pairs of name and value.
func Status(code int, message string, headers ...string) Fault {
	return func(a *Answer) {
		a.Status, a.Message = code, message
		for i := 0; i+1 < len(headers); i += 2 {
			a.Header.Set(headers[i], headers[i+1])
		}
	}
}

// RateLimit answers 429, with the given Retry-After header, or without one if retryAfter is empty.
func RateLimit(retryAfter string) Fault {
	if retryAfter == "" {
		return Status(http.StatusTooManyRequests, "rate limit reached")
	}
	return Status(http.StatusTooManyRequests, "rate limit reached", "Retry-After", retryAfter)
}

// Raw sends the given body instead of the answer.
func Raw(body string) Fault {
	return func(a *Answer) { a.Raw = body }
}

// Hang never answers. It holds the request until the client disconnects or the provider is closed.
func Hang(a *Answer) { a.Hang = true }

// TruncatedJSON ends the connection in the middle of the answer.
func TruncatedJSON(a *Answer) { a.Truncate = true }

// WrongCount omits the last vector.
func WrongCount(a *Answer) { a.Vectors = a.Vectors[:len(a.Vectors)-1] }

// WrongOrder sends the vectors in reverse order, each with its correct index.
func WrongOrder(a *Answer) {
	for i, j := 0, len(a.Vectors)-1; i < j; i, j = i+1, j-1 {
		a.Vectors[i], a.Vectors[j] = a.Vectors[j], a.Vectors[i]
	}
}

// DuplicateIndex gives the last vector the index of the first.
func DuplicateIndex(a *Answer) { a.Vectors[len(a.Vectors)-1].Index = a.Vectors[0].Index }

// IndexOutOfRange gives the last vector an index that no text has.
func IndexOutOfRange(a *Answer) { a.Vectors[len(a.Vectors)-1].Index = len(a.Vectors) }

// WrongDimension omits the last number of every vector.
func WrongDimension(a *Answer) {
	for i, d := range a.Vectors {
		a.Vectors[i].Vector = d.Vector[:len(d.Vector)-1]
	}
}

// NaN sets one number of the last vector to NaN. If vectors are sent as numbers, that is not valid
// JSON.
func NaN(a *Answer) { a.Vectors[len(a.Vectors)-1].Vector[0] = float32(math.NaN()) }

// ZeroVector sets all numbers of the last vector to zero.
func ZeroVector(a *Answer) { clear(a.Vectors[len(a.Vectors)-1].Vector) }

// EmptyText answers a chat request without text.
func EmptyText(a *Answer) { a.Text, a.Summaries = "", nil }

// ContentFiltered answers a chat request as a content filter does: without text.
func ContentFiltered(a *Answer) {
	EmptyText(a)
	a.Finish = "content_filter"
}
