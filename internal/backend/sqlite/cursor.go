package sqlite

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A cursor is the name of its list and the place of the last item that was
// returned, in JSON, in base64url.

// cutPage makes a page of a list out of up to limit+1 items, the last of which
// only shows that there are more. at returns an item's place in the list.
func cutPage[T any](list string, items []T, limit int, at func(T) any) (document.List[T], error) {
	if len(items) <= limit {
		return document.List[T]{Items: items}, nil
	}
	place, err := json.Marshal(at(items[limit-1]))
	if err != nil {
		return document.List[T]{}, fmt.Errorf("cursor: %w", err)
	}
	cursor := base64.RawURLEncoding.EncodeToString([]byte(list + "\n" + string(place)))
	return document.List[T]{Items: items[:limit], NextCursor: cursor}, nil
}

// decodeCursor reads the place that the cursor of a page of the list stands for. It leaves place as
// it is for the first page. It returns fault.BadRequest if the cursor is not one of the list, or the
// page has no room for an item.
func decodeCursor(list string, page document.Page, place any) error {
	if err := lifecycle.CheckPage(page); err != nil || page.Cursor == "" {
		return err
	}
	text, err := base64.RawURLEncoding.DecodeString(page.Cursor)
	after, ours := strings.CutPrefix(string(text), list+"\n")
	if err != nil || !ours || json.Unmarshal([]byte(after), place) != nil {
		return lifecycle.BadCursor(page.Cursor)
	}
	return nil
}
