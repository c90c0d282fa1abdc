package chunk

import (
	"bytes"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// maxOmitted is the maximum size of the omitted ranges of a passage in bytes. The limit of tokens
// does not bound them.
const maxOmitted = 64 << 10

// span is a range of the source.
type span struct{ start, end int64 }

// omissionFinder finds text that is not embedded: base64 payloads of data: URIs, and modules.
type omissionFinder struct {
	tail []byte // end of the piece before
	open bool   // the piece before ends inside a payload
}

// maxURIHeader is the maximum length of the header of a data: URI, before its payload, in bytes.
const maxURIHeader = 128

// find returns the ranges of the source that are omitted in the piece, in order.
func (o *omissionFinder) find(p markdown.Piece) []span {
	if p.Kind == markdown.KindModule {
		return []span{{p.Start, p.End()}}
	}
	var spans []span
	i := 0
	if o.open && p.Boundary <= markdown.BoundaryLine {
		start, n := o.continuedPayload(p)
		if n > 0 {
			spans = append(spans, span{p.Start + int64(start), p.Start + int64(start+n)})
			i = start + n
		}
	}
	if p.Boundary != markdown.BoundaryNone {
		o.tail = o.tail[:0]
	}
	for i < len(p.Text) {
		payload := o.findPayload(p.Text, i)
		if payload < 0 {
			break
		}
		n := payloadLength(p.Text[payload:])
		if n > 0 {
			spans = append(spans, span{p.Start + int64(payload), p.Start + int64(payload+n)})
		}
		i = max(payload+n, i+1)
	}
	last := len(spans) - 1
	o.open = last >= 0 && len(bytes.TrimRight(p.Text[spans[last].end-p.Start:], "\r\n")) == 0
	if endsLine(p.Text) {
		return spans // no URI header continues on the next line
	}
	o.tail = append(o.tail, p.Text[max(0, len(p.Text)-maxURIHeader):]...)
	o.tail = o.tail[:copy(o.tail, o.tail[max(0, len(o.tail)-maxURIHeader):])]
	return spans
}

// findPayload returns the index in s, from i on, at which the payload of a data: URI begins, or -1.
// The header of the URI may begin in the piece before.
func (o *omissionFinder) findPayload(s []byte, i int) int {
	if tail := len(o.tail); tail > 0 && i == 0 {
		joined := append(o.tail[:tail:tail], s[:min(len(s), maxURIHeader)]...)
		for at := nextBase64Mark(joined, max(0, tail-len(base64Mark))); at >= 0; at = nextBase64Mark(joined, at) {
			if at >= tail && endsHeader(joined[:at]) {
				return at - tail
			}
		}
	}
	for i = nextBase64Mark(s, i); i >= 0 && !endsHeader(s[:i]); i = nextBase64Mark(s, i) {
	}
	return i
}

// nextBase64Mark returns the index after the first base64Mark in s from i on, or -1.
func nextBase64Mark(s []byte, i int) int {
	n := bytes.Index(s[i:], base64Mark)
	if n < 0 {
		return -1
	}
	return i + n + len(base64Mark)
}

// base64Mark is the end of the header of a data: URI. It is rare elsewhere. The letters before it
// may be upper or lower case, so they are not part of the mark.
var base64Mark = []byte("64,")

// endsHeader reports whether s ends with the header of a data: URI with a base64 payload, such as
// data:image/png;base64, (RFC 2397).
func endsHeader(s []byte) bool {
	header := strings.ToLower(string(s[max(0, len(s)-maxURIHeader):]))
	at := strings.LastIndex(header, "data:")
	if at < 0 || !strings.HasSuffix(header, ";base64,") {
		return false
	}
	return !strings.ContainsAny(header[at:len(header)-1], " \t\r\n<>()[]{}|,")
}

// payloadLength returns the length of the base64 text at the beginning of s. Its characters may be
// escaped for URIs or for JSON.
func payloadLength(s []byte) int {
	n := 0
	for n < len(s) && isPayloadByte[s[n]] {
		n++
	}
	return n
}

var isPayloadByte = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_%\\") {
		is[c] = true
	}
	return is
}()

// continuedPayload returns the start and length of the part of the piece that continues the open
// payload of the piece before, or 0, 0. A payload continues on the next line if that line is
// nothing but base64 and too long for a word, or if a quote, ) or > follows the base64.
func (o *omissionFinder) continuedPayload(p markdown.Piece) (start, length int) {
	if p.Boundary == markdown.BoundaryNone {
		return 0, payloadLength(p.Text)
	}
	const longerThanWords = 40
	start = len(p.Text) - len(bytes.TrimLeft(p.Text, " \t"))
	length = payloadLength(p.Text[start:])
	rest := bytes.TrimRight(p.Text[start+length:], " \t\r\n")
	onlyBase64 := len(rest) == 0 && length >= longerThanWords
	if onlyBase64 || len(rest) > 0 && bytes.IndexByte([]byte("\"')>"), rest[0]) >= 0 {
		return start, length
	}
	return 0, 0
}

// view is a part of the source without its omitted ranges.
type view struct {
	text  string
	start int64  // offset in the source
	spans []span // the omitted ranges
	cut   int64  // offset in the source at which the view ends inside an omitted range, or -1
}

// offset returns the offset in the source of byte n of the view. If a range is omitted there, it is
// the offset after that range.
func (v view) offset(n int) int64 {
	at, left := v.start, int64(n)
	for _, s := range v.spans {
		if s.start-at > left {
			break
		}
		left -= s.start - at
		at = s.end
	}
	return at + left
}

// view returns the source from start to end without its omitted ranges. It ends early, inside an
// omitted range, if more than limit bytes are omitted.
func (b *buffer) view(start, end, limit int64) view {
	v := view{start: start, cut: -1, spans: b.omittedIn(start, end)}
	for i, s := range v.spans {
		if limit -= s.end - s.start; limit < 0 {
			end = s.end + limit
			v.spans, v.cut = append(v.spans[:i:i], span{s.start, end}), end
			break
		}
	}
	if len(v.spans) == 0 {
		v.text = b.source(start, end)
		return v
	}
	var text strings.Builder
	at := start
	for _, s := range v.spans {
		text.WriteString(b.source(at, s.start))
		at = s.end
	}
	text.WriteString(b.source(at, end))
	v.text = text.String()
	return v
}

// addOmitted appends omitted ranges, which follow those already in b.omitted.
func (b *buffer) addOmitted(spans []span) {
	for _, s := range spans {
		if n := len(b.omitted); n > 0 && b.omitted[n-1].end == s.start {
			b.omitted[n-1].end = s.end
		} else {
			b.omitted = append(b.omitted, s)
		}
	}
}

// omittedIn returns the omitted ranges between start and end.
func (b *buffer) omittedIn(start, end int64) []span {
	var spans []span
	for _, s := range b.omitted {
		if s.start, s.end = max(s.start, start), min(s.end, end); s.start < s.end {
			spans = append(spans, s)
		}
	}
	return spans
}

// omittedBytes returns the number of omitted bytes between start and end.
func (b *buffer) omittedBytes(start, end int64) int64 {
	n := int64(0)
	for _, s := range b.omitted {
		n += max(0, min(s.end, end)-max(s.start, start))
	}
	return n
}

// passageText returns the source from start to end as the content of a passage.
func (b *buffer) passageText(start, end int64) document.PassageText {
	t := document.PassageText{Content: b.source(start, end)}
	for _, s := range b.omittedIn(start, end) {
		t.Omitted = append(t.Omitted, document.Range{Start: int(s.start - start), End: int(s.end - start)})
	}
	return t
}

// countVisible returns the number of tokens of the source from start to end, without omitted
// ranges.
func (b *buffer) countVisible(start, end int64) int {
	if len(b.omitted) == 0 {
		return b.count(b.source(start, end))
	}
	return b.count(b.passageText(start, end).VisibleContent())
}

// discardOmitted removes the omitted ranges that end before the offset.
func (b *buffer) discardOmitted(before int64) {
	n := 0
	for n < len(b.omitted) && b.omitted[n].end <= before {
		n++
	}
	b.omitted = b.omitted[:copy(b.omitted, b.omitted[n:])]
}
