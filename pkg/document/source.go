package document

import (
	"path"
	"strings"
)

// SourceInfo has the properties of a document that determine its passages, besides its bytes. Media
// type and key extension select the syntax; the title is embedded with the passages.
type SourceInfo struct {
	Title     string // its own title, or empty; see [OwnTitle]
	MediaType string
	Key       string
}

// SourceInfo returns the SourceInfo of the version that d describes. A title that equals the file's
// name does not count as the document's own.
func (d Document) SourceInfo() SourceInfo {
	return SourceInfo{OwnTitle(d.Title, d.Key, nil), d.MediaType, d.Key}
}

// OwnTitle returns title if it is the document's own: from the upload request, the front matter or
// the first heading. It returns "" if the title was taken from the file's name because the document
// has no other. fromKey says whether it was. fromKey is nil for old versions that do not store
// this; a title that equals the file's name then counts as taken from it.
func OwnTitle(title, key string, fromKey *bool) string {
	if fromKey == nil && title == BaseName(key) || fromKey != nil && *fromKey {
		return ""
	}
	return title
}

// BaseName returns the last segment of a key without its extension, or with it if the rest is
// empty.
func BaseName(key string) string {
	base := path.Base(key)
	if name := strings.TrimSuffix(base, path.Ext(base)); name != "" {
		return name
	}
	return base
}
