package e2e_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/repository"
	"github.com/seed-7a112592/gristmill/internal/test/services"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// documentedCommands returns the code blocks under a heading of docs/operations.md.
func documentedCommands(t *testing.T, heading string) []string {
	t.Helper()
	root, err := repository.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### "+heading+"\n")
	if !found {
		t.Fatalf("docs/operations.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, match[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/operations.md has no commands under %q", heading)
	}
	return blocks
}

// shell runs commands in a shell. Every command must succeed.
func shell(t *testing.T, dir string, env []string, commands string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-e", "-u", "-c", commands)
	command.Dir, command.Env = dir, env
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
	return string(out)
}

// toolsEnv returns an environment with gristmill, PostgreSQL's client programs, and MinIO's client,
// which is built once and cached, like MinIO.
func toolsEnv(t *testing.T) []string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=" + t.TempDir()}
	paths := []string{filepath.Dir(program.Path(t, "gristmill")), buildMinIOClient(t, filepath.Join(cache, "gristmill"))}
	if _, err := exec.LookPath("pg_dump"); err != nil {
		found, _ := filepath.Glob(filepath.Join(cache, "gristmill/postgres-*/usr/lib/postgresql/*/bin")) // cannot fail: the pattern is valid
		if len(found) == 0 {
			services.SkipOrFail(t, "needs PostgreSQL's client programs, such as pg_dump")
		}
		tree, _, _ := strings.Cut(found[0], "/usr/lib/postgresql")
		libraries, _ := filepath.Glob(filepath.Join(tree, "usr/lib/*-linux-gnu"))
		env = append(env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
		paths = append(paths, found[0])
	}
	return append(env, "PATH="+strings.Join(append(paths, os.Getenv("PATH")), ":"))
}

// minioClientVersion is the version that the MinIO of scripts/lib/minio.sh depends on.
const minioClientVersion = "v0.0.0-20250313080218-cf909e1063a9"

// buildMinIOClient returns the directory of mc, which it builds if necessary. It does not look for
// mc in PATH, because on many machines that is another program.
func buildMinIOClient(t *testing.T, cache string) string {
	t.Helper()
	dir := filepath.Join(cache, "mc-"+minioClientVersion)
	if _, err := os.Stat(filepath.Join(dir, "mc")); err == nil {
		return dir
	}
	build := t.TempDir()
	command := exec.CommandContext(t.Context(), "go", "install", "-trimpath", "-ldflags", "-s -w", "github.com/minio/mc@"+minioClientVersion)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath", "GOBIN="+build)
	command.Dir = build // outside this module
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build mc: %v\n%s", err, out)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(dir, uuid.NewString())
	program, err := os.ReadFile(filepath.Join(build, "mc"))
	if err == nil {
		err = os.WriteFile(part, program, 0o755)
	}
	if err == nil {
		err = os.Rename(part, filepath.Join(dir, "mc"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// The commands in docs/operations.md move an installation to other servers while it is in use.
// Everything that was accepted before the backup is there, byte for byte, searchable, and its tasks
// continue.
func TestBackupAndRestoreOfServers(t *testing.T) {
	t.Parallel()
	path := toolsEnv(t)
	dir := t.TempDir()
	from := program.NewInstallation(t)
	var api *program.Program
	for _, name := range []string{"api", "worker-knowledge", "worker-summary"} {
		if p := from.Start(name); name == "api" {
			api = p
		}
	}
	texts := map[string]string{"large.md": guide + strings.Repeat("Wheat is ground between stones. ", 400_000)}
	for i := range 5 {
		texts[fmt.Sprintf("%d.md", i)] = fmt.Sprintf("%s\n# Part %d\n\nOf grain.\n", guide, i)
	}
	c := api.Client(program.APIKey)
	for key, text := range texts {
		if key != "large.md" { // uploaded below, so that its tasks run during the backup
			uploadOne(t, c, key, text)
		}
	}
	deleted := uploadOne(t, c, "deleted.md", guide)
	if err := c.DeleteDocument(t.Context(), deleted.Document.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upload(t.Context(), document.UploadRequest{Key: "large.md"}, strings.NewReader(texts["large.md"])); err != nil {
		t.Fatal(err)
	}
	environment := func(s *program.Installation) []string {
		return append(append(s.Env(), path...), "GRISTMILL_MIGRATE_DATABASE_URL="+s.OwnerURL)
	}
	shell(t, dir, environment(from), documentedCommands(t, "Back up servers")[0])
	late := uploadOne(t, c, "late.md", guide+"\n# Late\n\nAfter the backup.\n") // not in the backup

	to := program.NewInstallation(t)
	recreateDatabase(t, to)
	out := shell(t, dir, environment(to), documentedCommands(t, "Restore servers")[0])
	if !strings.Contains(out, "0 findings") {
		t.Errorf("the restore reports findings:\n%s", out)
	}
	for _, name := range []string{"api", "worker-knowledge", "worker-summary"} {
		if p := to.Start(name); name == "api" {
			api = p
		}
	}
	to.Exec(`UPDATE tasks SET lease_until = now() WHERE lease IS NOT NULL`) // instead of waiting half a minute
	audit.AwaitIdle(t, to, 3*time.Minute)
	checkRestored(t, api.Client(program.APIKey), texts, late.Document.ID)

	// verify finds an object that was lost.
	bucket := audit.S3Client(t, to.S3)
	for object := range bucket.ListObjects(t.Context(), to.S3.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if err := bucket.RemoveObject(t.Context(), to.S3.Bucket, object.Key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		break
	}
	if p := to.Start("gristmill", "verify"); p.Wait() != 1 || !strings.Contains(p.Output(), "original_gone") {
		t.Errorf("verify after an object was removed:\n%s", p.Output())
	}
}

// recreateDatabase drops and creates the installation's database.
func recreateDatabase(t *testing.T, s *program.Installation) {
	t.Helper()
	owner, err := url.Parse(s.OwnerURL)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(owner.Path, "/")
	maintenance := *s
	owner.Path = "/postgres"
	maintenance.OwnerURL = owner.String()
	maintenance.Exec(`DROP DATABASE "` + name + `" WITH (FORCE)`)
	maintenance.Exec(`CREATE DATABASE "` + name + `"`)
}

// checkRestored checks that exactly these documents exist, complete, and that absent does not.
func checkRestored(t *testing.T, c *client.Client, texts map[string]string, absent uuid.UUID) {
	t.Helper()
	documents := audit.Documents(t, c)
	for key, text := range texts {
		audit.CheckDocument(t, c, documents[key], text)
	}
	if len(documents) != len(texts) {
		t.Errorf("%d documents were restored, want %d", len(documents), len(texts))
	}
	if _, err := c.Document(t.Context(), absent); err == nil {
		t.Error("a document uploaded after the backup exists")
	}
	result, err := c.Search(t.Context(), document.SearchRequest{Query: "how is grain ground", Limit: 5})
	if err != nil || len(result.Hits) == 0 {
		t.Errorf("search: %+v, %v", result, err)
	}
}

// dev starts dev mode on a data directory in dir.
func dev(t *testing.T, dir string) (*program.Program, *client.Client) {
	t.Helper()
	p := program.Start(t, nil, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", filepath.Join(dir, "gristmill-data"))
	return p, p.Client("")
}

// The commands in docs/operations.md back up and restore dev mode's data directory.
func TestBackupAndRestoreOfDataDir(t *testing.T) {
	t.Parallel()
	blocks := documentedCommands(t, "Back up the folder of dev")
	env := []string{"PATH=" + filepath.Dir(program.Path(t, "gristmill")) + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	for i, name := range []string{"stopped", "running"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("sqlite3"); err != nil && name == "running" {
				services.SkipOrFail(t, "needs sqlite3")
			}
			dir := t.TempDir()
			p, c := dev(t, dir)
			texts := map[string]string{"guide.md": guide, "other.md": guide + "\n# Other\n\nOf rye.\n"}
			for key, text := range texts {
				uploadOne(t, c, key, text)
			}
			if name == "stopped" {
				if status := p.Stop(); status != 0 {
					t.Fatalf("dev exited with %d:\n%s", status, p.Output())
				}
			}
			shell(t, dir, env, blocks[i])
			if name == "running" {
				p.Kill()
			}
			if err := os.RemoveAll(filepath.Join(dir, "gristmill-data")); err != nil {
				t.Fatal(err)
			}
			out := shell(t, dir, env, documentedCommands(t, "Restore the folder of dev")[0])
			if !strings.Contains(out, "compared 2 documents") || !strings.Contains(out, " 0 findings") {
				t.Errorf("unexpected result of the restore:\n%s", out)
			}
			p, c = dev(t, dir)
			checkRestored(t, c, texts, uuid.New())
			verify := program.Start(t, nil, "gristmill", "verify", "--data", filepath.Join(dir, "gristmill-data"))
			if status := verify.Wait(); status != 1 || !strings.Contains(verify.Output(), "another process") {
				t.Errorf("verify while dev runs exited with %d: %s", status, verify.Output())
			}
			p.Stop()
		})
	}
}

// verify reports what is damaged in a data directory, and creates nothing if the directory does not
// exist.
func TestVerifyDataDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, c := dev(t, dir)
	accepted := uploadOne(t, c, "guide.md", guide)
	p.Stop()
	data := filepath.Join(dir, "gristmill-data")
	files, err := filepath.Glob(filepath.Join(data, "objects/objects/default/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("objects %q, %v", files, err)
	}
	verify := func(args ...string) (int, string) {
		p := program.Start(t, nil, "gristmill", append([]string{"verify"}, args...)...)
		return p.Wait(), p.Output()
	}
	if status, out := verify("--data", data); status != 0 {
		t.Errorf("verify exited with %d:\n%s", status, out)
	}
	if err := os.WriteFile(files[0], []byte(guide[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(files[0]), "unused"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out := verify("--data", data, "--json")
	for _, want := range []string{`"kind":"original_damaged"`, `"key":"guide.md"`, accepted.Document.ID.String(), `"kind":"object_unused"`, `"object":"default/unused"`, `"findings":2`} {
		if status != 1 || !strings.Contains(out, want) {
			t.Errorf("verify exited with %d, want 1 and output with %s:\n%s", status, want, out)
		}
	}
	p, c = dev(t, dir)
	if d, err := c.Document(t.Context(), accepted.Document.ID); err != nil || !strings.Contains(d.Damage, "20 bytes") {
		t.Errorf("the document has damage %q, %v", d.Damage, err)
	}
	again, err := c.Upload(t.Context(), document.UploadRequest{Key: "guide.md"}, strings.NewReader(guide))
	if err != nil || !again.Restored {
		t.Errorf("uploaded again: %+v, %v", again, err)
	}
	p.Stop()
	if status, out := verify("--data", data, "--collection", "default"); status != 0 {
		t.Errorf("after the restore verify exited with %d:\n%s", status, out)
	}
	for _, bad := range [][]string{{"--data", filepath.Join(dir, "absent")}, {"--data", data, "--after", "x"}, {}} {
		if status, out := verify(bad...); status != 1 {
			t.Errorf("verify %q exited with %d, want 1: %s", bad, status, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "absent")); !os.IsNotExist(err) {
		t.Errorf("verify created a directory: %v", err)
	}
}
