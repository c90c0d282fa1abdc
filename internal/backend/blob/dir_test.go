package blob_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/backend/blob/blobtest"
	"github.com/seed-7a112592/gristmill/internal/fault"
)

func openDir(t *testing.T, path string) *blob.Dir {
	t.Helper()
	d, err := blob.NewDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestDir(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blobtest.Store {
		path := filepath.Join(t.TempDir(), "created", "on first use")
		t.Cleanup(func() {
			if diff := cmp.Diff([]string{}, files(t, filepath.Join(path, "partial"))); diff != "" {
				t.Errorf("partial files were left behind (-want +got):\n%s", diff)
			}
		})
		return openDir(t, path)
	})
}

func TestDirPersistsObjects(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if _, err := openDir(t, path).Put(t.Context(), "default/a", strings.NewReader("a")); err != nil {
		t.Fatal(err)
	}
	r, err := openDir(t, path).Open(t.Context(), "default/a")
	if err != nil {
		t.Fatalf("after reopening the directory: %v", err)
	}
	_ = r.Close()
}

// syncRecorder records what an object directory syncs: files with their content, and directories with
// the names of their entries. Only this survives a power failure.
type syncRecorder struct {
	t      *testing.T
	synced map[string][]string // what was stored at the last sync, by path below root
	err    map[string]error    // errors to return, by path
	root   string
}

func (r *syncRecorder) sync(f *os.File) error {
	name, err := filepath.Rel(r.root, f.Name())
	if err != nil {
		r.t.Error(err)
	}
	info, err := f.Stat()
	if err != nil {
		r.t.Error(err)
	}
	if info.IsDir() {
		r.synced[name] = files(r.t, f.Name())
		return r.err[name]
	}
	content, err := os.ReadFile(f.Name())
	if err != nil {
		r.t.Error(err)
	}
	r.synced["file"] = append(r.synced["file"], string(content))
	return r.err["file"]
}

// Put returns when the object survives a power failure: its content, its name in the directory of the
// tenant, and the directory of the tenant.
func TestDirSyncsObjects(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := openDir(t, path)
	r := &syncRecorder{t: t, root: path, synced: map[string][]string{}}
	d.SetSync(r.sync)
	if _, err := d.Put(t.Context(), "default/a", strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"file": {"content"}, "objects/default": {"a"}, "objects": {"default"}}
	if diff := cmp.Diff(want, r.synced); diff != "" {
		t.Errorf("synced (-want +got):\n%s", diff)
	}
}

// An object that may not survive a power failure is not stored. A file that is not synced must never
// get the name of an object: after a power failure the name could lead to a part of the content.
func TestDirRefusesWhatCannotBeSynced(t *testing.T) {
	t.Parallel()
	for _, unsynced := range []string{"file", "objects/default", "objects"} {
		path := t.TempDir()
		d := openDir(t, path)
		full := errors.New("no space left on device")
		r := &syncRecorder{t: t, root: path, synced: map[string][]string{}, err: map[string]error{unsynced: full}}
		d.SetSync(r.sync)
		if _, err := d.Put(t.Context(), "default/a", strings.NewReader("content")); !errors.Is(err, full) {
			t.Errorf("%s cannot be synced: Put returns %v, want the error", unsynced, err)
		}
		_, err := os.Stat(filepath.Join(path, "objects", "default", "a"))
		if unsynced == "file" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is not synced has the name of the object (%v)", err)
		}
	}
}

// A killed process leaves a partial file. The next process removes it, unless it is so young that
// its process may still be writing it.
func TestDirRemovesStalePartialFiles(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	openDir(t, path)
	partial := filepath.Join(path, "partial")
	for name, age := range map[string]time.Duration{"stale": 2 * time.Hour, "young": time.Minute} {
		file := filepath.Join(partial, name)
		if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
	}
	openDir(t, path)
	if diff := cmp.Diff([]string{"young"}, files(t, partial)); diff != "" {
		t.Errorf("partial files (-want +got):\n%s", diff)
	}
}

func TestDirDoesNotFollowLinksOut(t *testing.T) {
	t.Parallel()
	outside, path := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDir(t, path)
	if err := os.Symlink(outside, filepath.Join(path, "objects", "tenant")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(t.Context(), "tenant/secret"); err == nil {
		t.Error("read a file outside of the directory through a symbolic link")
	}
	if _, err := d.Put(t.Context(), "tenant/new", strings.NewReader("x")); err == nil {
		t.Error("wrote a file outside of the directory through a symbolic link")
	}
	if diff := cmp.Diff([]string{"secret"}, files(t, outside)); diff != "" {
		t.Errorf("files outside (-want +got):\n%s", diff)
	}
}

func TestDirPing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "objects")
	d := openDir(t, path)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := d.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Ping of a removed directory = %v, want %s", err, fault.Unavailable)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// A write into the file changes the ETag, even if the modification time is set back.
func TestDirETagOfModifiedFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := openDir(t, path)
	object, err := d.Put(t.Context(), "default/a", strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, "objects", "default", "a")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := d.Open(t.Context(), "default/a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if etag := r.(interface{ ETag() string }).ETag(); etag == object.ETag {
		t.Errorf("the ETag is still %q", etag)
	}
}
