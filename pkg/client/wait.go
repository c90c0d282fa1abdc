package client

import (
	"iter"
	"net/url"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// allPages yields all items of a list. It requests them page by page. After an error it ends.
func allPages[T any](list func(page document.Page) (document.List[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page := (document.Page{Limit: 1000}); ; {
			items, err := list(page)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items.Items {
				if !yield(item, nil) {
					return
				}
			}
			if items.NextCursor == "" {
				return
			}
			page.Cursor = items.NextCursor
		}
	}
}

// waitQuery returns the query that asks the server to answer at the end, after wait at the latest.
func waitQuery(wait time.Duration) url.Values {
	query := url.Values{}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	return query
}

// awaitEnd requests an item until it has ended, and returns it. Each request waits for up to every.
// Until the end, awaitEnd passes each answer to report, if it is not nil.
func awaitEnd[T any](every time.Duration, report func(T), get func(wait time.Duration) (T, error), ended func(T) bool) (T, error) {
	for {
		item, err := get(every)
		if err != nil {
			var none T
			return none, err
		}
		if ended(item) {
			return item, nil
		}
		if report != nil {
			report(item)
		}
	}
}
