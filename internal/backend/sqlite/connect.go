package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// What the connections of a pool are for: parameters of the data source name.
const (
	// The write-ahead log lets readers go on while a transaction is written.
	// With synchronous=FULL a commit is on the disk when it returns, so that
	// an accepted upload survives a power cut too. A transaction takes the
	// write lock when it begins: none can fail half-way for want of it.
	writerParameters = "_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_txlock=immediate" + commonParameters

	readerParameters = "mode=ro" + commonParameters

	// Another program that reads the database may hold us up for five seconds. A
	// misspelt column must not pass for a string.
	commonParameters = "&_busy_timeout=5000&_dqs=0&_pragma=temp_store(memory)"
)

// openPool returns a pool of at most size connections to the file.
func openPool(path, parameters string, size int) (*sql.DB, error) {
	to, err := newConnector(path, parameters)
	if err != nil {
		return nil, err
	}
	return newPool(to, size), nil
}

func newPool(to driver.Connector, size int) *sql.DB {
	db := sql.OpenDB(to)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db
}

func newConnector(path, parameters string) (driver.Connector, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/dir/file
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: parameters}

	// A driver of our own, so that what is registered stays among ourselves.
	d := new(sqlite.Driver)
	if err := d.RegisterDeterministicScalarFunction("json_contains", 2, jsonContains); err != nil {
		return nil, err
	}
	if err := d.RegisterDeterministicScalarFunction("metadata_fields", 1, metadataFields); err != nil {
		return nil, err
	}
	if err := d.RegisterDeterministicScalarFunction("normal_key", 1, normalKey); err != nil {
		return nil, err
	}
	return connector{driver: d, name: name.String()}, nil
}

type connector struct {
	driver *sqlite.Driver
	name   string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.name) }

func (c connector) Driver() driver.Driver { return c.driver }
