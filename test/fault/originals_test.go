package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/verification"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// damageKinds are the ways to damage an object with this text. They return the new text, and false
// if the object is deleted.
var damageKinds = map[string]func(text string) (string, bool){
	"deleted":   func(string) (string, bool) { return "", false },
	"empty":     func(string) (string, bool) { return "", true },
	"truncated": func(text string) (string, bool) { return text[:len(text)/2], true },
	"longer":    func(text string) (string, bool) { return text + "And more.\n", true },
	"replaced":  func(text string) (string, bool) { return strings.ToUpper(text[:1]) + "X" + text[2:], true },
}

// damageAll damages the originals of the newest versions directly in the bucket. The documents'
// keys are the kinds of damage.
func (m *testEnv) damageAll(texts map[string]string) {
	m.t.Helper()
	bucket := audit.S3Client(m.t, m.direct.S3)
	conn := m.direct.Connect()
	defer conn.Close(context.WithoutCancel(m.t.Context()))
	for name, damage := range damageKinds {
		var object string
		if err := conn.QueryRow(m.t.Context(), `
			SELECT v.object FROM documents d JOIN versions v ON v.document = d.id AND v.version = d.newest_version
			WHERE d.key = $1`, name).Scan(&object); err != nil {
			m.t.Fatal(err)
		}
		text, exists := damage(texts[name])
		err := bucket.RemoveObject(m.t.Context(), m.direct.S3.Bucket, object, minio.RemoveObjectOptions{})
		if exists {
			_, err = bucket.PutObject(m.t.Context(), m.direct.S3.Bucket, object, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// verify runs gristmill verify and returns its exit status and output.
func (m *testEnv) verify(args ...string) (int, string) {
	m.t.Helper()
	p := m.direct.Start("gristmill", append([]string{"verify"}, args...)...)
	return p.Wait(), p.Output()
}

// content requests the content of a document, or a range of it.
func (m *testEnv) content(id uuid.UUID, rng string) (status int, body string, err error) {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), "GET", m.api.URL()+"/v1/documents/"+id.String()+"/content", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+program.APIKey)
	if rng != "" {
		r.Header.Set("Range", rng)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// Originals are damaged in every way while their tasks wait: they are not published, the previous
// versions stay published, and the jobs say what to do. Then the originals of published versions
// are damaged: the API does not serve them, verify lists them, and uploading the same content again
// restores them.
func TestDamagedOriginals(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	m.startAll()
	before, after := map[string]string{}, map[string]string{}
	upload := func(texts map[string]string) {
		for name := range damageKinds {
			if err := m.upload(file{name, texts[name]}); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids := map[string]uuid.UUID{}
	for name := range damageKinds {
		before[name] = newFile(m.random, name, 3, 2).text
		after[name] = newFile(m.random, name, 4, 2).text
	}
	upload(before)
	audit.AwaitIdle(t, m.direct, time.Minute)
	for name, d := range audit.Documents(t, m.client()) {
		ids[name] = d.ID
	}

	// Damages originals while their tasks wait.
	for _, p := range m.programs[1:] {
		p.Stop()
	}
	upload(after)
	m.damageAll(after)
	m.start("worker-knowledge")
	m.start("worker-summary")
	audit.AwaitIdle(t, m.direct, time.Minute)
	for name, id := range ids {
		d, err := m.client().Document(t.Context(), id)
		if err != nil || d.State != document.DocumentReady || d.Version != 1 {
			t.Errorf("%s: document %+v, %v; want version 1 to be published", name, d, err)
		}
		if status, body, err := m.content(id, ""); err != nil || status != 200 || body != before[name] {
			t.Errorf("%s: content %d, %v; want that of version 1", name, status, err)
		}
		jobs, err := m.client().Jobs(t.Context(), document.JobFilter{DocumentID: id}, document.Page{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		tasks := jobs.Items[0].Tasks
		for _, task := range []document.Task{tasks.Knowledge.Task, tasks.Summary.Task} {
			if task.State != document.JobFailed || task.Attempt != 1 || !strings.Contains(task.Error, "upload the document again") || !strings.Contains(task.Error, "gristmill verify") {
				t.Errorf("%s: task %+v", name, task)
			}
		}
	}
	status, out := m.verify()
	wantFindings(t, status, out, ids)

	// The jobs have failed, so uploading the same content again creates new versions.
	upload(after)
	audit.AwaitIdle(t, m.direct, time.Minute)
	if status, out := m.verify("--collection", "default"); status != 0 {
		t.Errorf("verify after all were uploaded again: %d\n%s", status, out)
	}

	// Damages originals of published versions.
	m.damageAll(after)
	for name, id := range ids {
		for _, rng := range []string{"", "bytes=0-9", "bytes=-5", "bytes=3-"} {
			status, body, err := m.content(id, rng)
			if status != http.StatusGone || err != nil || !strings.Contains(body, `"code":"damaged"`) {
				t.Errorf("%s: content %q: %d %.200s, %v", name, rng, status, body, err)
			}
		}
	}
	status, out = m.verify()
	wantFindings(t, status, out, ids)
	for name, id := range ids {
		d, err := m.client().Document(t.Context(), id)
		if err != nil || d.Damage == "" {
			t.Errorf("%s: the document has no damage, error %v", name, err)
		}
		accepted, err := m.uploads.Upload(t.Context(), m.client(), name, after[name])
		if err != nil || !accepted.Unchanged || !accepted.Restored {
			t.Errorf("%s: upload %+v, %v; want it restored", name, accepted, err)
		}
		accepted, err = m.uploads.Upload(t.Context(), m.client(), name, after[name])
		if err != nil || !accepted.Unchanged || accepted.Restored || accepted.Document.Damage != "" {
			t.Errorf("%s: second upload: %+v, %v; want it unchanged", name, accepted, err)
		}
		for rng, want := range map[string]string{"": after[name], "bytes=2-7": after[name][2:8]} {
			if _, body, err := m.content(id, rng); err != nil || body != want {
				t.Errorf("%s: restored content %q differs: %v", name, rng, err)
			}
		}
	}
	if status, out := m.verify("--collection", "default"); status != 0 {
		t.Errorf("verify after all were restored: %d\n%s", status, out)
	}
	a := audit.Audit{Installation: m.direct, Client: m.client(), Uploads: &m.uploads}
	a.Run(t, time.Minute)
}

// wantFindings checks that verify exited with 1 and listed every document.
func wantFindings(t *testing.T, status int, out string, ids map[string]uuid.UUID) {
	t.Helper()
	if status != 1 {
		t.Errorf("verify exited with %d, want 1", status)
	}
	for name, id := range ids {
		kind := verification.FindingOriginalDamaged
		if name == "deleted" {
			kind = verification.FindingOriginalGone
		}
		if !strings.Contains(out, fmt.Sprintf("%s: default/%s version", kind, name)) || !strings.Contains(out, id.String()) {
			t.Errorf("verify does not list %s as %s:\n%s", name, kind, out)
		}
	}
}

// Originals are lost while many clients upload the same content, the document is deleted and the
// sweep runs: content that an upload reports as stored can be read.
func TestRestoreDuringDeletions(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	m.startAll()
	text := newFile(m.random, "shared.md", 3, 2).text
	bucket := audit.S3Client(t, m.direct.S3)
	for range ifShort(5, 30) {
		if err := m.upload(file{"shared.md", text}); err != nil {
			t.Fatal(err)
		}
		audit.AwaitIdle(t, m.direct, time.Minute)
		for object := range bucket.ListObjects(t.Context(), m.direct.S3.Bucket, minio.ListObjectsOptions{Recursive: true}) {
			if err := bucket.RemoveObject(t.Context(), m.direct.S3.Bucket, object.Key, minio.RemoveObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		id := audit.Documents(t, m.client())["shared.md"].ID
		done := make(chan error, 9)
		for i := range cap(done) {
			go func() {
				if i == 0 {
					done <- m.client().DeleteDocument(t.Context(), id)
					return
				}
				_, err := m.client().Upload(t.Context(), document.UploadRequest{Key: "shared.md"}, strings.NewReader(text))
				if p, ok := errors.AsType[*client.Problem](err); ok && (p.Status == 409 || p.Status == 503) {
					err = nil // allowed: the document changed at the same time
				}
				done <- err
			}()
		}
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	if err := m.upload(file{"shared.md", text}); err != nil {
		t.Fatal(err)
	}
	audit.AwaitIdle(t, m.direct, time.Minute)
	if status, out := m.verify("--collection", "default"); status != 0 {
		t.Errorf("verify: %d\n%s", status, out)
	}
	await.Until(t, "the content is served", func() bool {
		status, body, err := m.content(audit.Documents(t, m.client())["shared.md"].ID, "")
		return err == nil && status == 200 && body == text
	})
	a := audit.Audit{Installation: m.direct, Client: m.client(), Uploads: &m.uploads}
	a.Run(t, time.Minute)
}
