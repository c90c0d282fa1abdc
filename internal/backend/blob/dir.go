package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
)

// Objects are stored under objectsDir, as tenant/id. Objects that are being written are stored
// under partialDir, in the same file system, so that a rename makes them visible completely.
const (
	objectsDir = "objects"
	partialDir = "partial"
)

// staleAfter is the age after which NewDir removes a partial file, because the process that wrote
// it was killed.
const staleAfter = time.Hour

// Dir stores objects in a directory. It is safe for concurrent use, also by several processes.
type Dir struct {
	root *os.Root               // neither names nor symbolic links lead out of it
	sync func(f *os.File) error // (*os.File).Sync, except in tests
}

// NewDir returns the object store in the directory at dir, and creates the directory if necessary.
func NewDir(dir string) (*Dir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open object directory %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open object directory %s: %w", dir, err)
	}
	d := &Dir{root: root, sync: (*os.File).Sync}
	if err := errors.Join(root.MkdirAll(objectsDir, 0o700), root.MkdirAll(partialDir, 0o700), d.removeStale()); err != nil {
		return nil, errors.Join(fmt.Errorf("open object directory %s: %w", dir, err), root.Close())
	}
	return d, nil
}

// Close closes the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Ping reports whether the directory can be used.
func (d *Dir) Ping(context.Context) error {
	if _, err := d.root.Stat(objectsDir); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the object directory cannot be used")
	}
	return nil
}

// Put stores the content of r under name and replaces an existing object. When it has returned, the
// object survives a power failure.
func (d *Dir) Put(ctx context.Context, name string, r io.Reader) (object original.ObjectInfo, err error) {
	if err := checkName(name); err != nil {
		return object, err
	}
	partial := path.Join(partialDir, uuid.NewString())
	defer func() {
		if err != nil {
			err = fmt.Errorf("put object %s: %w", name, err)
			_ = d.root.Remove(partial) // does not exist after the rename; if this fails, NewDir removes it later
		}
	}()
	if _, err = d.writeFile(partial, contextReader{ctx, r}); err != nil {
		return object, err
	}
	if err := ctx.Err(); err != nil {
		return object, err
	}
	tenant := path.Join(objectsDir, path.Dir(name))
	if err := d.root.MkdirAll(tenant, 0o700); err != nil {
		return object, err
	}
	file := path.Join(objectsDir, name)
	if err := d.root.Rename(partial, file); err != nil {
		return object, err
	}
	info, err := d.root.Stat(file)
	if err != nil {
		return object, err
	}
	// The new name is an entry of the tenant's directory, which may itself be a new entry of its
	// parent.
	return original.ObjectInfo{Size: info.Size(), ETag: etagOf(info)}, errors.Join(d.syncDir(tenant), d.syncDir(objectsDir))
}

// WriteBufferSize returns how much memory Put uses, in bytes: the buffer of io.Copy, for objects of
// any size.
func (d *Dir) WriteBufferSize(int64) int64 { return 32 << 10 }

// writeFile writes the content of r to a new file and syncs it.
func (d *Dir) writeFile(file string, r io.Reader) (int64, error) {
	f, err := d.root.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	size, err := io.Copy(f, r)
	if err == nil {
		err = d.sync(f)
	}
	return size, errors.Join(err, f.Close())
}

func (d *Dir) syncDir(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.sync(f), f.Close())
}

// Open returns a reader of the object, or fault.NotFound. Reads fail after ctx has ended.
func (d *Dir) Open(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	f, err := d.root.Open(path.Join(objectsDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.NotFound, err, "object %s does not exist", name)
	}
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open object %s: %w", name, err), f.Close())
	}
	return &dirReader{contextReader{ctx, f}, f, f, etagOf(info)}, nil
}

// dirReader reads the file that was opened, whatever happens to its name.
type dirReader struct {
	io.Reader
	io.Seeker
	io.Closer
	etag string
}

// ETag returns the ETag of the file when it was opened.
func (r *dirReader) ETag() string { return r.etag }

// Delete removes the object. It returns no error if there is none. NewDir removes partial files of
// killed processes.
func (d *Dir) Delete(_ context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := d.root.Remove(path.Join(objectsDir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete object %s: %w", name, err)
	}
	return nil
}

// List yields the objects whose names begin with prefix, in any order.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		err := fs.WalkDir(d.root.FS(), objectsDir, func(file string, entry fs.DirEntry, err error) error {
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			name := strings.TrimPrefix(file, objectsDir+"/")
			if entry.IsDir() || !strings.HasPrefix(name, prefix) {
				return nil
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // deleted since the directory was read
			}
			if err != nil {
				return err
			}
			if !yield(Info{Name: name, Size: info.Size(), ModTime: info.ModTime()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(Info{}, fmt.Errorf("list objects %s*: %w", prefix, err))
		}
	}
}

// Names yields the names of the objects that List yields.
func (d *Dir) Names(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return namesOf(d.List(ctx, prefix))
}

// removeStale removes the partial files of killed processes.
func (d *Dir) removeStale() error {
	entries, err := fs.ReadDir(d.root.FS(), partialDir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		if err := d.root.Remove(path.Join(partialDir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// contextReader fails after ctx has ended. It carries ctx because Read takes none.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
