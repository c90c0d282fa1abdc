package fault_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// disk is a separate file system in memory, which a test can fill. If the machine does not allow
// mounting one, the test is skipped.
type disk struct {
	t    *testing.T
	dir  string
	size int64 // bytes, when it is not full
}

// disks holds the mounted disks, so that they are also unmounted when the process is interrupted
// during a test.
var disks struct {
	sync.Mutex
	mounted map[string]bool
}

// newDisk mounts a disk of size bytes on an empty directory and makes the user uid its owner.
func newDisk(t *testing.T, dir string, size int64, uid, gid uint32) *disk {
	t.Helper()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0700,uid=%d,gid=%d", size, uid, gid), "gristmill-test", dir).CombinedOutput()
	if err != nil {
		services.SkipOrFail(t, "cannot mount a file system to fill (needs root on Linux): %v: %s", err, out)
	}
	disks.Lock()
	defer disks.Unlock()
	if disks.mounted == nil {
		disks.mounted = map[string]bool{}
	}
	disks.mounted[dir] = true
	return &disk{t, dir, size}
}

// remove unmounts the disk.
func (d *disk) remove() {
	if err := unmount(d.dir); err != nil {
		d.t.Error(err)
	}
}

func unmount(dir string) error {
	disks.Lock()
	defer disks.Unlock()
	if !disks.mounted[dir] {
		return nil
	}
	// Lazy unmount: a killed program may not have ended yet.
	if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount %s: %w: %s", dir, err, out)
	}
	delete(disks.mounted, dir)
	return nil
}

func removeAllDisks() {
	disks.Lock()
	mounted := make([]string, 0, len(disks.mounted))
	for dir := range disks.mounted {
		mounted = append(mounted, dir)
	}
	disks.Unlock()
	for _, dir := range mounted {
		if err := unmount(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// fill leaves no free block: it shrinks the disk to the size of its content.
func (d *disk) fill() {
	d.t.Helper()
	var err error
	for range 10 { // the content may grow between the two calls
		var stat syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &stat); err != nil {
			d.t.Fatalf("statfs %s: %v", d.dir, err)
		}
		if err = d.resize(int64(stat.Blocks-stat.Bfree) * int64(stat.Bsize)); err == nil {
			return
		}
	}
	d.t.Fatal(err)
}

// clear restores the size of the disk.
func (d *disk) clear() {
	d.t.Helper()
	if err := d.resize(d.size); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) resize(size int64) error {
	out, err := exec.Command("mount", "-o", fmt.Sprintf("remount,size=%d", size), d.dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("remount %s with %d bytes: %w: %s", d.dir, size, err, out)
	}
	return nil
}

// newTestEnvOnDisk returns an environment whose tables are on a separate disk. PostgreSQL's
// write-ahead log is not, so the server itself keeps running.
func newTestEnvOnDisk(t *testing.T, provider fakeprovider.Options, more ...string) (*testEnv, *disk) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var d *disk
	var server *pgx.Conn
	var tablespace string
	t.Cleanup(func() { // runs after the database has been dropped
		if server != nil {
			if _, err := server.Exec(ctx, "DROP TABLESPACE IF EXISTS "+tablespace); err != nil {
				t.Errorf("drop the tablespace: %v", err)
			}
			server.Close(ctx)
		}
		if d != nil {
			d.remove()
		}
	})
	m := newTestEnv(t, sharedServers(t), provider, more...)
	address, err := url.Parse(m.direct.OwnerURL)
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(address.Path, "/")
	tablespace = database + "_disk"
	address.Path = "/postgres"
	if server, err = pgx.Connect(ctx, address.String()); err != nil {
		t.Fatal(err)
	}
	var data string
	if err := server.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(data)
	if err != nil {
		services.SkipOrFail(t, "PostgreSQL's data directory is not on this machine: %v", err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(data), "disk-")
	if err != nil {
		services.SkipOrFail(t, "cannot create a directory next to PostgreSQL's data directory: %v", err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	d = newDisk(t, dir, 256<<20, owner.Uid, owner.Gid)
	for _, statement := range []string{
		fmt.Sprintf("CREATE TABLESPACE %s LOCATION '%s'", tablespace, dir),
		fmt.Sprintf("ALTER DATABASE %s SET TABLESPACE %s", database, tablespace),
	} {
		if _, err := server.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return m, d
}
