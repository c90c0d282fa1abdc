package document

import (
	"path"
	"strings"
)

// SourceInfo is what, besides its bytes, says how a document is cut: its media type
// and its key's extension say how it is read, and its own title is embedded with
// its passages.
type SourceInfo struct {
	Title     string // see [OwnTitle]
	MediaType string
	Key       string
}

// SourceInfo returns the source of the version that is described. Its title is taken
// for one of its own unless it is the file's name.
func (d Document) SourceInfo() SourceInfo {
	return SourceInfo{OwnTitle(d.Title, d.Key, nil), d.MediaType, d.Key}
}

// OwnTitle returns the title that a document has of its own: that of the request,
// its front matter or its first heading, but not the file's name, which it is
// shown under when it has none. fromKey says that the title is the file's name.
// It is nil for versions of which that was not stored: then one that equals the
// file's name is.
func OwnTitle(title, key string, fromKey *bool) string {
	if fromKey == nil && title == BaseName(key) || fromKey != nil && *fromKey {
		return ""
	}
	return title
}

// BaseName returns the last segment of a key without its extension.
func BaseName(key string) string {
	base := path.Base(key)
	if name := strings.TrimSuffix(base, path.Ext(base)); name != "" {
		return name
	}
	return base
}
