package badrequests

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// answerTimeout is the time limit of an answer. Refusing a request is fast.
const answerTimeout = 10 * time.Second

// send sends a request and returns an error if the answer is not as the contract says.
func send(ctx context.Context, addr string, request badRequest) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		// The write fails if the server refuses the request before it has read all of it.
		if _, err := conn.Write(request.bytes); err == nil && request.closesWrite {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	err = checkAnswer(bufio.NewReader(conn), request)
	_ = conn.Close()
	<-written
	return err
}

// checkAnswer reads the answer and checks it.
func checkAnswer(r *bufio.Reader, request badRequest) error {
	response, err := http.ReadResponse(r, &http.Request{Method: request.method})
	for err == nil && response.StatusCode == http.StatusContinue {
		response, err = http.ReadResponse(r, &http.Request{Method: request.method})
	}
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer within %s", answerTimeout)
	case err != nil && request.malformedHTTP:
		return nil // closing the connection is allowed
	case err != nil:
		return fmt.Errorf("no answer: %w", err)
	}
	defer response.Body.Close()
	if response.Header.Get("X-Request-Id") == "" {
		return checkLibraryAnswer(response, request)
	}
	if request.uncleanPath && response.StatusCode == http.StatusTemporaryRedirect && response.Header.Get("Location") != "" {
		return nil
	}
	return checkProblem(response)
}

// libraryStatuses are the statuses with which net/http refuses invalid HTTP before our own handlers
// run.
var libraryStatuses = []int{
	http.StatusBadRequest, http.StatusExpectationFailed, http.StatusRequestHeaderFieldsTooLarge,
	http.StatusNotImplemented, http.StatusHTTPVersionNotSupported,
}

func checkLibraryAnswer(response *http.Response, request badRequest) error {
	if request.malformedHTTP && slices.Contains(libraryStatuses, response.StatusCode) {
		return nil
	}
	return fmt.Errorf("answered %s without X-Request-Id, so not by our handlers", response.Status)
}

// checkProblem checks that the answer is a complete problem with a 4xx status.
func checkProblem(response *http.Response) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("answered %s with an incomplete body: %w", response.Status, err)
	}
	wrong := func(what string) error { return fmt.Errorf("answered %s %q: %s", response.Status, body, what) }
	if response.StatusCode < 400 || response.StatusCode > 499 {
		return wrong("want a 4xx")
	}
	if got := response.Header.Get("Content-Type"); got != "application/problem+json" {
		return wrong("Content-Type is " + got)
	}
	if response.Request.Method == http.MethodHead {
		return nil
	}
	var problem struct {
		Type, Title, Detail, Code string
		Status                    int
		RequestID                 string `json:"request_id"`
	}
	switch err := json.Unmarshal(body, &problem); {
	case err != nil:
		return wrong(err.Error())
	case problem.Type == "" || problem.Title == "" || problem.Detail == "" || problem.Code == "":
		return wrong("a field is missing")
	case problem.Status != response.StatusCode:
		return wrong("the status in the body differs")
	case problem.RequestID != response.Header.Get("X-Request-Id"):
		return wrong("request_id differs from X-Request-Id")
	}
	return nil
}
