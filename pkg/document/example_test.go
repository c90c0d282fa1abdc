package document_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A client can check keys and metadata before it uploads; the server applies the same rules.
func Example() {
	key := document.NormaliseKey("cafe\u0301/menu.md")
	fmt.Println(key, document.CheckKey(key))
	fmt.Println(document.CheckKey("../menu.md"))

	metadata, err := document.CanonicalMetadata(json.RawMessage(`{"year": 2031, "lang": "fr"}`))
	fmt.Println(string(metadata), err)
	// Output:
	// café/menu.md <nil>
	// key "../menu.md": a segment must not be ".."
	// {"lang":"fr","year":2031} <nil>
}

func ExampleMetadataError() {
	_, err := document.CanonicalMetadata(json.RawMessage(`{"year": 1e999}`))
	if invalid, ok := errors.AsType[*document.MetadataError](err); ok {
		fmt.Println(invalid.Reason, invalid.Offset)
	}
	// Output: has a number that is out of range 7
}

// The body of a delivery to a webhook is an Event.
func ExampleEvent() {
	body := `{"type": "job.failed", "job": {"key": "menu.md", "version": 3, "state": "failed", "error": "not UTF-8"}}`
	var event document.Event
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		fmt.Println(err)
		return
	}
	if event.Type == document.EventType(document.JobFailed) {
		fmt.Printf("version %d of %s failed: %s\n", event.Job.Version, event.Job.Key, event.Job.Error)
	}
	// Output: version 3 of menu.md failed: not UTF-8
}

// The embedded text is more than the content of a passage.
func ExamplePassageText_EmbeddingInput() {
	text := document.PassageText{
		Title:       "Menu",
		HeadingPath: []string{"Lunch", "Soups"},
		Content:     "Onion soup, with bread.",
	}
	fmt.Println(text.EmbeddingInput())
	// Output:
	// Menu > Lunch > Soups
	//
	// Onion soup, with bread.
}

func ExampleCondition() {
	onlyNew := document.Condition{NoneMatch: []string{document.AnyVersion}}
	fmt.Println(onlyNew.Check(""))
	fmt.Println(onlyNew.Check("9f86d0"))
	// Output:
	// <nil>
	// If-None-Match failed: the newest version has the ETag "9f86d0"; get the document and decide again
}
