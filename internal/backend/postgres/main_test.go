package postgres_test

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of what these tests do is wait for the server.
	_ = flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}
