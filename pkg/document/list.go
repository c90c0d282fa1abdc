package document

// Page selects a part of a list.
type Page struct {
	Limit  int    // maximum number of items; 0 for the server's default
	Cursor string // opaque: List.NextCursor of the page before, empty for the first page
}

// List is one page of a list.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"` // for the next page; empty on the last page
}
