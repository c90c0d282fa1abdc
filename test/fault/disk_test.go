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

// disk is a file system of its own, in memory, that can be made full. Where the
// machine does not let us mount one, the test is skipped.
type disk struct {
	t    *testing.T
	dir  string
	size int64 // bytes, while it is not full
}

// disks are those that are mounted, for those that a test cannot remove because
// the process is told to end.
var disks struct {
	sync.Mutex
	mounted map[string]bool
}

// newDisk mounts a disk of size bytes on an empty directory, which a user
// owns from then on.
func newDisk(t *testing.T, dir string, size int64, uid, gid uint32) *disk {
	t.Helper()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0700,uid=%d,gid=%d", size, uid, gid), "gristmill-test", dir).CombinedOutput()
	if err != nil {
		services.SkipOrFail(t, "no file system can be mounted here (root can on Linux), and no disk be filled: %v: %s", err, out)
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
	// Lazily: a program that was killed may still be ending.
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

// fill leaves no free block: the disk becomes as small as what it holds.
func (d *disk) fill() {
	d.t.Helper()
	var err error
	for range 10 { // it may grow in between
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

// clear gives the disk its size back.
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

// newTestEnvOnDisk returns an installation whose tables are on a disk of their
// own. PostgreSQL's log is not, so that the server itself goes on.
func newTestEnvOnDisk(t *testing.T, provider fakeprovider.Options, more ...string) (*testEnv, *disk) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var d *disk
	var server *pgx.Conn
	var tablespace string
	t.Cleanup(func() { // once the database has gone
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
		services.SkipOrFail(t, "the files of PostgreSQL are not on this machine: %v", err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(data), "disk-")
	if err != nil {
		services.SkipOrFail(t, "there is no place beside the files of PostgreSQL: %v", err)
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
