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

// maxFieldBytes bounds a form field that is not the file.
const maxFieldBytes = 64 << 10

// FormItem is what became of one file of a form: it was accepted, or there is a
// problem.
type FormItem struct {
	Key       string             `json:"key,omitempty" doc:"The file's key."`
	Document  *document.Document `json:"document,omitempty"`
	Job       *document.Job      `json:"job,omitempty"`
	Unchanged bool               `json:"unchanged,omitempty"`
	Problem   *Problem           `json:"problem,omitempty" doc:"Why the file was not accepted, with the status that it alone would have got."`
}

// FormAnswer is the answer to a form with several files, in their order. A form
// is read no further after a file that is too large, or while nothing is
// accepted: files after that have no item.
type FormAnswer struct {
	Items []FormItem `json:"items"`
}

// postDocuments accepts the files of a form, each as it comes.
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
			s.writeError(w, r, err) // it is the only one, or nothing comes of the form
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

// abortsForm reports whether nothing after a file that failed so is read: others
// would fail alike, or the file goes on for who knows how long.
func abortsForm(err error) bool {
	switch fault.KindOf(err) {
	case fault.UnsupportedMediaType, fault.InvalidEncoding, fault.EmptyDocument, fault.InvalidMetadata,
		fault.BadRequest, fault.Conflict, fault.PreconditionFailed:
		return false
	default:
		return true
	}
}

// uploadFile hands over the file at which the form stands, and has the form go
// on to the next.
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
		form.err = form.next() // over what was not read of this one
	}
	if form.err != nil {
		err = form.err // whatever the uploader made of it
	}
	return accepted, err
}

// form reads a multipart upload part by part and stands before a file, or at
// the end.
type form struct {
	parts     *multipart.Reader
	fields    document.UploadRequest // what has been said of the files to come
	nextFile  *filePart              // nil at the end, and once taken
	fileCount int                    // up to this one
	keys      map[[2]string]int      // which file has which key, by collection
	err       error                  // what is wrong with the form beyond a file
}

func newForm(r *http.Request) (*form, error) {
	base, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || base != "multipart/form-data" {
		return nil, fault.New(fault.UnsupportedMediaType,
			"Content-Type %q: send multipart/form-data, or PUT the document as it is", r.Header.Get("Content-Type"))
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return nil, err
	}
	if params["boundary"] == "" {
		return nil, fault.New(fault.BadRequest, "Content-Type %q names no boundary", r.Header.Get("Content-Type"))
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

// next reads on to the next file, keeping the fields that come before it.
// Fields that no file follows were meant for one that has passed: an error,
// because they had no effect.
func (f *form) next() error {
	dangling := ""
	for {
		part, err := f.parts.NextRawPart()
		ended := err == io.EOF // a form that breaks off has it too, wrapped
		if ended && dangling != "" {
			return fault.New(fault.BadRequest, "no file follows form field %q; send fields before the file they are about", dangling)
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
		dangling = part.FormName()
	}
}

// startFile makes part the next file, with the fields that are about it.
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
		refused = fault.New(fault.BadRequest, "files %d and %d of the form both have the key %q: give each its own", other, f.fileCount, request.Key)
		if other == f.fileCount-1 { // which is not accepted yet: nobody knows which is meant
			return refused
		}
	}
	f.keys[name] = f.fileCount
	f.fields.Key, f.fields.Title = "", "" // these name one document
	f.nextFile = &filePart{form: f, part: part, request: request, rejection: refused}
	return nil
}

// fileKey returns the key that a file's name stands for: all of it, with its
// folders, where [multipart.Part.FileName] has the last segment only.
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
		return "", fault.New(fault.BadRequest, "the name of a file, %q, is no relative path with / between its segments: send another, or a field key before it", name)
	}
	return name, nil
}

// readField reads a part that is not a file.
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

// takeFile returns the file at which the form stands. The form goes on to the next
// when the file has been read to its end.
func (f *form) takeFile() *filePart {
	file := f.nextFile
	f.nextFile = nil
	return file
}

// filePart is the content of a file. It ends only once what follows it in the
// form is known to be sound, so that no document is accepted from a form that
// breaks off or says in the end that it meant something else.
type filePart struct {
	form      *form
	part      *multipart.Part
	request   document.UploadRequest
	rejection error // why it is not accepted, whatever it holds
	ended     bool
}

// Read implements io.Reader. Errors are faults.
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

// multipartError says that the form could not be read. An error of the body below it
// already says why.
func multipartError(err error) error {
	if f := fault.As(err); f != nil {
		return f
	}
	return fault.Wrap(fault.BadRequest, err, "broken multipart body: %v", err)
}
