package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// maxFieldBytes bounds a form field that is not the file.
const maxFieldBytes = 64 << 10

// postDocuments accepts the files of a form, each as it comes.
func (s *server) postDocuments(w http.ResponseWriter, r *http.Request) {
	form, err := newForm(r)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	var all []document.Accepted
	replayed := true
	for form.file != nil {
		accepted, err := s.uploadFile(r, form)
		if err != nil {
			s.writeError(w, r, afterOthers(err, len(all)))
			return
		}
		all = append(all, accepted)
		replayed = replayed && accepted.Replayed
	}
	if len(all) == 1 {
		writeAccepted(w, all[0])
		return
	}
	if replayed {
		w.Header().Set(replayedHeader, "true")
	}
	writeJSON(w, http.StatusAccepted, document.List[document.Accepted]{Items: all})
}

// uploadFile hands over the file at which the form stands.
func (s *server) uploadFile(r *http.Request, form *form) (document.Accepted, error) {
	file := form.take()
	accepted, err := s.upload(r, file.request, file)
	if err != nil && file.err != nil {
		err = file.err // whatever the uploader made of it
	}
	return accepted, err
}

// afterOthers says that files before the one that failed were accepted.
func afterOthers(err error, accepted int) error {
	f := fault.As(err)
	if f == nil || accepted == 0 {
		return err
	}
	told := *f
	told.Detail = fmt.Sprintf("file %d: %s; the %d before it were accepted", accepted+1, f.Detail, accepted)
	return &told
}

// form reads a multipart upload part by part and stands before a file, or at
// the end.
type form struct {
	parts  *multipart.Reader
	fields document.UploadRequest // what has been said of the files to come
	file   *filePart              // nil at the end
	files  int                    // up to this one
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
	f := &form{
		parts:  multipart.NewReader(r.Body, params["boundary"]),
		fields: document.UploadRequest{Collection: defaultCollection, IdempotencyKey: key, Size: max(0, r.ContentLength)},
	}
	if err := f.next(); err != nil {
		return nil, err
	}
	if f.file == nil {
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
		part, err := f.parts.NextPart()
		ended := err == io.EOF // a form that breaks off has it too, wrapped
		if ended && dangling != "" {
			return fault.New(fault.BadRequest, "no file follows form field %q; send fields before the file they are about", dangling)
		}
		if ended {
			return nil
		}
		if err != nil {
			return broken(err)
		}
		if part.FormName() == "file" {
			return f.stand(part)
		}
		if err := f.field(part); err != nil {
			return err
		}
		dangling = part.FormName()
	}
}

// stand makes part the next file, with the fields that are about it.
func (f *form) stand(part *multipart.Part) error {
	if err := checkText(part.FileName()); err != nil {
		return fault.Wrap(fault.BadRequest, err, "the name of a file %v", err)
	}
	f.files++
	request := f.fields
	request.IdempotencyKey = nthKey(request.IdempotencyKey, f.files)
	request.MediaType = part.Header.Get("Content-Type")
	if request.Key == "" {
		request.Key = part.FileName()
	}
	f.fields.Key, f.fields.Title = "", "" // these name one document
	f.file = &filePart{form: f, part: part, request: request}
	return nil
}

// field reads a part that is not a file.
func (f *form) field(part *multipart.Part) error {
	name := part.FormName()
	value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err != nil {
		return broken(err)
	}
	if len(value) > maxFieldBytes {
		return fault.New(fault.TooLarge, "form field %q is larger than %d bytes", name, maxFieldBytes)
	}
	if err := checkText(string(value)); err != nil {
		return fault.Wrap(fault.BadRequest, err, "form field %q %v", name, err)
	}
	if !setField(&f.fields, name, string(value)) {
		return fault.New(fault.BadRequest, "form field %q is unknown; want collection, key, title, metadata, file", name)
	}
	return nil
}

// take returns the file at which the form stands. The form goes on to the next
// when the file has been read to its end.
func (f *form) take() *filePart {
	file := f.file
	f.file = nil
	return file
}

// filePart is the content of a file. It ends only once what follows it in the
// form is known to be sound, so that no document is accepted from a form that
// breaks off or says in the end that it meant something else.
type filePart struct {
	form    *form
	part    *multipart.Part
	request document.UploadRequest
	ended   bool
	err     error // of the form
}

// Read implements io.Reader. Errors are faults.
func (p *filePart) Read(b []byte) (int, error) {
	if p.ended {
		return 0, p.end()
	}
	n, err := p.part.Read(b)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		p.err = p.form.next()
	default:
		p.err = broken(err)
	}
	p.ended = true
	return n, p.end()
}

func (p *filePart) end() error {
	if p.err != nil {
		return p.err
	}
	return io.EOF
}

// broken says that the form could not be read. An error of the body below it
// already says why.
func broken(err error) error {
	if f := fault.As(err); f != nil {
		return f
	}
	return fault.Wrap(fault.BadRequest, err, "broken multipart body: %v", err)
}
