package httpapi

import (
	"encoding/json"
	"net/http"
)

// responseRecorder is a response that records its status and size.
type responseRecorder struct {
	http.ResponseWriter
	status  int   // 0 until it is written
	bytes   int64 // of the body
	aborted bool  // the handler panicked after it had written a part of the response
}

// WriteHeader implements http.ResponseWriter.
func (a *responseRecorder) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *responseRecorder) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find the connection.
func (a *responseRecorder) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// errorInterceptor discards error responses that net/http writes as plain text, so that a problem can
// be written instead. Other responses pass.
type errorInterceptor struct {
	http.ResponseWriter
	status int // of the discarded error; 0 for none
}

// WriteHeader implements http.ResponseWriter.
func (i *errorInterceptor) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		i.status = status
		return
	}
	i.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (i *errorInterceptor) Write(p []byte) (int, error) {
	if i.status != 0 {
		return len(p), nil
	}
	return i.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find the connection.
func (i *errorInterceptor) Unwrap() http.ResponseWriter { return i.ResponseWriter }

// writeJSON writes the response of a raw handler.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client has disconnected
}
