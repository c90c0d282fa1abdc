package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	// heartbeatEvery is the time without an event after which a stream sends a comment. Proxies often
	// cut connections that are silent for a minute.
	heartbeatEvery = 15 * time.Second

	// eventTimeout is the time in which a client must read an event before its stream is cut off.
	eventTimeout = 10 * time.Second

	// reconnectAfter is the wait that clients are asked for when the server stops.
	reconnectAfter = 2 * time.Second
)

// describeEvents describes the route that streams the states of a job or reindex.
func (f *trackedResource[T]) describeEvents(path, summary string) huma.Operation {
	text := &huma.Schema{Type: huma.TypeString}
	return huma.Operation{
		OperationID: "get-" + f.name + "-events",
		Method:      http.MethodGet,
		Path:        path + "/{id}/events",
		Summary:     summary,
		Description: fmt.Sprintf("Each event has the name %s. Its data is the %[1]s in the form of GET %s/{id}, and its id identifies that state. "+
			"The first event is sent immediately, and another after each change of the %[1]s. The stream ends when the %[1]s has ended.", f.name, path),
		Parameters: []*huma.Param{
			{Name: "id", In: "path", Description: "The " + f.name + "'s id.", Required: true, Schema: &huma.Schema{Type: huma.TypeString, Format: "uuid"}},
			{Name: "Last-Event-ID", In: "header", Description: "The id of the last event that the client has seen. Its state is not sent again.", Schema: text},
		},
		Responses: map[string]*huma.Response{
			"200": {Description: "The events", Content: map[string]*huma.MediaType{"text/event-stream": {
				Schema:  text,
				Example: "id: 5e0c7c3a9bd1f042\nevent: " + f.name + "\ndata: {\"id\":\"0199c7a4-0000-7000-8000-000000000002\",\"state\":\"running\"}\n\n",
			}}},
			"204": {Description: "The " + f.name + " has ended, and Last-Event-ID is the id of its last event"},
		},
	}
}

// serveEvents streams the states of a job or reindex until it has ended.
func (f *trackedResource[T]) serveEvents(w http.ResponseWriter, r *http.Request) {
	s := f.server
	id, err := pathID(r)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	ctx := f.withLogAttr(r.Context(), id)
	item, err := f.load(ctx, id)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	seen := r.Header.Get("Last-Event-ID")
	if f.ended(item) && newEvent(f.name, item).id == seen {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	stream := &eventStream{w: w, conn: http.NewResponseController(w), lastEventID: seen}
	defer stream.extendWriteDeadline() // for what net/http writes at the end
	if err := stream.open(); err != nil || r.Method == http.MethodHead {
		return
	}
	for item, err := range f.follow(ctx, id, nil) {
		switch {
		case err == nil:
			err = stream.send(newEvent(f.name, f.present(ctx, item)))
		case fault.Is(err, fault.Unavailable):
			err = stream.heartbeat() // wait for the database; the client does not have to know
		case !fault.Is(err, fault.NotFound) && ctx.Err() == nil:
			s.Log.ErrorContext(ctx, "event stream cut off", "error", err)
		}
		if err != nil {
			return // the client has disconnected, or the resource is deleted
		}
		if f.ended(item) {
			return
		}
	}
	stream.sendRetryDelay()
}

// event is a state of a job or reindex in the form in which it is sent.
type event struct {
	name string
	id   string // equal for equal data
	data []byte
}

func newEvent(name string, item any) event {
	data, err := json.Marshal(item)
	if err != nil {
		panic(err) // cannot happen: the item has only strings, numbers and times
	}
	hash := sha256.Sum256(data)
	return event{name: name, id: hex.EncodeToString(hash[:8]), data: data}
}

// eventStream writes events to a client. Its methods return an error if the client has disconnected
// or does not read.
type eventStream struct {
	w           http.ResponseWriter
	conn        *http.ResponseController
	lastEventID string // id of the last event that the client has
	lastWrite   time.Time
}

// open begins the response.
func (e *eventStream) open() error {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // keeps nginx from buffering events
	e.w.WriteHeader(http.StatusOK)
	return e.write("")
}

// send sends the event, unless the client has received it.
func (e *eventStream) send(event event) error {
	if event.id == e.lastEventID {
		return e.heartbeat()
	}
	e.lastEventID = event.id
	return e.write("id: %s\nevent: %s\ndata: %s\n\n", event.id, event.name, event.data)
}

// heartbeat sends a comment if nothing was sent for heartbeatEvery.
func (e *eventStream) heartbeat() error {
	if time.Since(e.lastWrite) < heartbeatEvery {
		return nil
	}
	return e.write(": still here\n\n")
}

// sendRetryDelay tells the client when to reconnect.
func (e *eventStream) sendRetryDelay() {
	_ = e.write("retry: %d\n\n", reconnectAfter.Milliseconds()) // the stream ends in either case
}

// write writes to the client and flushes.
func (e *eventStream) write(format string, args ...any) error {
	e.extendWriteDeadline()
	e.lastWrite = time.Now()
	if _, err := fmt.Fprintf(e.w, format, args...); err != nil {
		return err
	}
	return e.conn.Flush()
}

// extendWriteDeadline gives the client time to read the next write. It fails only for the responses of
// tests, which have no deadline.
func (e *eventStream) extendWriteDeadline() {
	_ = e.conn.SetWriteDeadline(time.Now().Add(eventTimeout))
}
