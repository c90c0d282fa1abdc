package client

import (
	"iter"
	"net/url"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// allPages returns all items of a list, page by page. It ends after an error.
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

// waitQuery asks for the answer to be held until the end, for so long.
func waitQuery(wait time.Duration) url.Values {
	query := url.Values{}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	return query
}

// awaitEnd gets an item until it has ended, holding each request so long, and
// hands it to report until then, if there is one.
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
