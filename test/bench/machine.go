package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// describeMachine prints the hardware and software versions on which the figures depend.
func describeMachine(b *bench) {
	name, err := os.Hostname()
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("machine   %s: %s, %d cores, %s of memory, %s/%s\n",
		name, procField("/proc/cpuinfo", "model name"), runtime.NumCPU(), totalMemory(), runtime.GOOS, runtime.GOARCH)
	fmt.Printf("programs  %s\n", runtime.Version())
	fmt.Printf("servers   PostgreSQL %s, Redis %s, MinIO %s\n",
		postgresVersion(b), redisVersion(b.ctx), minioVersion())
}

// procField returns the first value of a name in a file with lines "name: value".
func procField(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func totalMemory() string {
	var kib float64
	if _, err := fmt.Sscanf(procField("/proc/meminfo", "MemTotal"), "%f kB", &kib); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f GiB", kib/(1<<20))
}

// postgresVersion returns the server's version and its fsync setting.
func postgresVersion(b *bench) string {
	if os.Getenv(postgresEnv) == "" {
		b.Fatalf("%s is not set: `make bench` starts servers and sets it", postgresEnv)
	}
	db, err := pgx.Connect(b.ctx, os.Getenv(postgresEnv))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(b.ctx))
	var version, fsync string
	if err := db.QueryRow(b.ctx, `SELECT split_part(current_setting('server_version'), ' ', 1), current_setting('fsync')`).
		Scan(&version, &fsync); err != nil {
		b.Fatal(err)
	}
	return version + " (fsync " + fsync + ")"
}

func redisVersion(ctx context.Context) string {
	options, err := redis.ParseURL(os.Getenv(redisEnv))
	if err != nil {
		return "unknown"
	}
	client := redis.NewClient(options)
	defer client.Close()
	info := client.InfoMap(ctx, "server", "persistence").Item
	append := "off"
	if info("Persistence", "aof_enabled") == "1" {
		append = "on"
	}
	return info("Server", "redis_version") + " (append-only file " + append + ")"
}

// minioVersion returns the version in the server's binary, because the server reports it only to
// administrators.
func minioVersion() string {
	pid, err := serverPID(s3Env)
	if err != nil {
		return "unknown"
	}
	info, err := buildinfo.ReadFile(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return "unknown"
	}
	return info.Main.Version
}
