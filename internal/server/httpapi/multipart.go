package httpapi

import (
	"cmp"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxFieldBytes is the maximum size of a form field that is not a file.
const maxFieldBytes = 64 << 10

// FormItem is the result of one file of a form: a document and a job, or a problem.
type FormItem struct {
	Key       string             `json:"key,omitempty" doc:"The file's key."`
	Document  *document.Document `json:"document,omitempty"`
	Job       *document.Job      `json:"job,omitempty"`
	Unchanged bool               `json:"unchanged,omitempty"`
	Problem   *Problem           `json:"problem,omitempty" doc:"Why the file was not accepted, with the status of an upload of this file alone."`
}

// FormAnswer is the response to a form with several files, in their order. After some errors, such as
// a file that is too large or an unavailable database, the rest of the form is not read, and the
// files in it have no item.
type FormAnswer struct {
	Items []FormItem `json:"items"`
}

// postDocuments accepts the files of a form, one after the other.
func (s *server) postDocuments(w http.ResponseWriter, r *http.Request) {
	form, err := newForm(r)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	var items []FormItem
	refused, replayed := 0, true
	for form.nextFile != nil {
		key := form.nextFile.request.Key
		accepted, err := s.uploadFile(r, form)
		if err != nil && len(items) == 0 && (form.nextFile == nil || form.err != nil || abortsForm(err)) {
			s.writeError(w, r, err) // it is the only file, or the rest of the form cannot be accepted
			return
		}
		if err != nil {
			p := s.problem(r.Context(), err)
			items = append(items, FormItem{Key: key, Problem: p})
			refused++
			if wait := p.headers.Get("Retry-After"); wait != "" {
				w.Header().Set("Retry-After", wait)
			}
			if abortsForm(err) {
				break
			}
			continue
		}
		if form.fileCount == 1 && form.nextFile == nil && form.err == nil {
			writeAccepted(w, accepted)
			return
		}
		items = append(items, FormItem{Key: key, Document: &accepted.Document, Job: &accepted.Job, Unchanged: accepted.Unchanged})
		replayed = replayed && accepted.Replayed
	}
	if replayed && refused == 0 {
		w.Header().Set(replayedHeader, "true")
	}
	status := http.StatusAccepted
	if refused > 0 {
		status = http.StatusMultiStatus
	}
	writeJSON(w, status, FormAnswer{Items: items})
}

// abortsForm reports whether the rest of the form is not read after this error of a file: the other
// files would fail too, or the rest of the file may be of any length.
func abortsForm(err error) bool {
	switch fault.KindOf(err) {
	case fault.UnsupportedMediaType, fault.InvalidEncoding, fault.EmptyDocument, fault.InvalidMetadata,
		fault.BadRequest, fault.Conflict, fault.PreconditionFailed:
		return false
	default:
		return true
	}
}

// uploadFile uploads the next file of the form, and reads on to the file after it.
func (s *server) uploadFile(r *http.Request, form *form) (document.Accepted, error) {
	file := form.takeFile()
	err := cmp.Or(file.rejection, checkPlainBody(file.part.Header))
	var accepted document.Accepted
	if err == nil {
		accepted, err = s.upload(r, file.request, file)
	}
	if err == nil {
		return accepted, nil
	}
	if !file.ended && !abortsForm(err) {
		form.err = form.next() // skips the unread rest of this file
	}
	if form.err != nil {
		err = form.err // whatever error the uploader returned for it
	}
	return accepted, err
}

// form reads a multipart upload part by part. Between two calls it is before a file, or at the end.
type form struct {
	parts     *multipart.Reader
	fields    document.UploadRequest // the fields that apply to the next files
	nextFile  *filePart              // nil at the end, and after takeFile
	fileCount int                    // number of files up to nextFile
	keys      map[[2]string]int      // number of the file with each collection and key
	err       error                  // of the form itself, not of a file
}

func newForm(r *http.Request) (*form, error) {
	base, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || base != "multipart/form-data" {
		return nil, fault.New(fault.UnsupportedMediaType,
			"Content-Type %q: send multipart/form-data, or PUT the document itself", r.Header.Get("Content-Type"))
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return nil, err
	}
	if params["boundary"] == "" {
		return nil, fault.New(fault.BadRequest, "Content-Type %q has no boundary", r.Header.Get("Content-Type"))
	}
	condition, err := parseCondition(r.Header.Values("If-Match"), r.Header.Values("If-None-Match"))
	if err != nil {
		return nil, err
	}
	if err := checkPlainBody(r.Header); err != nil {
		return nil, err
	}
	f := &form{
		parts:  multipart.NewReader(r.Body, params["boundary"]),
		keys:   map[[2]string]int{},
		fields: document.UploadRequest{Condition: condition, Collection: document.DefaultCollection, IdempotencyKey: key, MaxSize: max(0, r.ContentLength)},
	}
	if err := f.next(); err != nil {
		return nil, err
	}
	if f.nextFile == nil {
		return nil, fault.New(fault.BadRequest, "the form has no part named file")
	}
	return f, nil
}

// next reads on to the next file, and keeps the fields before it. Fields after the last file are an
// error: they were meant for an earlier file, and had no effect.
func (f *form) next() error {
	unusedField := ""
	for {
		part, err := f.parts.NextRawPart()
		ended := err == io.EOF // not errors.Is: a truncated form wraps io.EOF
		if ended && unusedField != "" {
			return fault.New(fault.BadRequest, "no file follows form field %q; send fields before the file that they belong to", unusedField)
		}
		if ended {
			return nil
		}
		if err != nil {
			return multipartError(err)
		}
		if part.FormName() == "file" {
			return f.startFile(part)
		}
		if err := f.readField(part); err != nil {
			return err
		}
		unusedField = part.FormName()
	}
}

// startFile makes part the next file, with the fields that apply to it.
func (f *form) startFile(part *multipart.Part) error {
	f.fileCount++
	request := f.fields
	request.IdempotencyKey = fileIdempotencyKey(request.IdempotencyKey, f.fileCount)
	request.MediaType = part.Header.Get("Content-Type")
	if request.Key == "" {
		key, err := fileKey(part)
		if err != nil {
			return err
		}
		request.Key = key
	}
	var refused error
	name := [2]string{request.Collection, document.NormaliseKey(request.Key)}
	if other, taken := f.keys[name]; taken {
		refused = fault.New(fault.BadRequest, "files %d and %d of the form both have the key %q: give each file its own key", other, f.fileCount, request.Key)
		if other == f.fileCount-1 { // it is not accepted yet, so refuse both
			return refused
		}
	}
	f.keys[name] = f.fileCount
	f.fields.Key, f.fields.Title = "", "" // they apply to one file
	f.nextFile = &filePart{form: f, part: part, request: request, rejection: refused}
	return nil
}

// fileKey returns the key for the name of a file. It is the complete name with its folders;
// [multipart.Part.FileName] returns only the last segment.
func fileKey(part *multipart.Part) (string, error) {
	_, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	name := parameters["filename"]
	if err == nil {
		err = document.CheckText(name)
	}
	if err != nil {
		return "", fault.Wrap(fault.BadRequest, err, "the name of a file %v", err)
	}
	if strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//") || strings.Contains(name, `\`) {
		return "", fault.New(fault.BadRequest, "the name of a file, %q, is not a relative path with / between its segments: send such a name, or a field key before the file", name)
	}
	return name, nil
}

// readField reads a part that is a field.
func (f *form) readField(part *multipart.Part) error {
	name := part.FormName()
	if err := checkPlainBody(part.Header); err != nil {
		return err
	}
	value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err != nil {
		return multipartError(err)
	}
	if len(value) > maxFieldBytes {
		return fault.New(fault.TooLarge, "form field %q is larger than %d bytes", name, maxFieldBytes)
	}
	if err := document.CheckText(string(value)); err != nil {
		return fault.Wrap(fault.BadRequest, err, "form field %q %v", name, err)
	}
	if !setField(&f.fields, name, string(value)) {
		return fault.New(fault.BadRequest, "form field %q is unknown; want collection, key, title, metadata, file", name)
	}
	return nil
}

// takeFile returns the next file. When that has been read to its end, the form has read on to the file
// after it.
func (f *form) takeFile() *filePart {
	file := f.nextFile
	f.nextFile = nil
	return file
}

// filePart is the content of a file. Its end is returned only after the part that follows in the form
// has been read without error. So no document is accepted from a form that is truncated, or that has
// an error right after the file.
type filePart struct {
	form      *form
	part      *multipart.Part
	request   document.UploadRequest
	rejection error // why the file is refused before its content is read; nil if it is not
	ended     bool
}

// Read implements io.Reader. Errors are fault.Errors.
func (p *filePart) Read(b []byte) (int, error) {
	if p.ended {
		return 0, p.endError()
	}
	n, err := p.part.Read(b)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		p.form.err = p.form.next()
	default:
		p.form.err = multipartError(err)
	}
	p.ended = true
	return n, p.endError()
}

func (p *filePart) endError() error {
	if p.form.err != nil {
		return p.form.err
	}
	return io.EOF
}

// multipartError returns the error of a form that cannot be read. If reading the body failed, that
// error already has the reason.
func multipartError(err error) error {
	if f := fault.As(err); f != nil {
		return f
	}
	return fault.Wrap(fault.BadRequest, err, "broken multipart body: %v", err)
}
