package sqlite

import (
	"database/sql"
	"errors"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// databaseLock keeps other processes, and other stores of this one, away from a
// database. It is an empty SQLite database beside it in an exclusive
// transaction: the operating system ends that with the process, however it
// dies, on every platform.
type databaseLock struct {
	db *sql.DB
	tx *sql.Tx
}

func lockDatabase(path string) (*databaseLock, error) {
	db, err := openPool(path+".lock", "_txlock=exclusive&_busy_timeout=0", 1)
	if err != nil {
		return nil, err
	}
	tx, err := db.Begin()
	if err != nil {
		db.Close()
		if isBusy(err) {
			return nil, fault.Wrap(fault.Conflict, err,
				"another process is using %s: stop it, or choose another data directory", path)
		}
		return nil, err
	}
	return &databaseLock{db: db, tx: tx}, nil
}

// release lets others in. Releasing again does nothing.
func (l *databaseLock) release() error {
	err := l.tx.Rollback()
	if errors.Is(err, sql.ErrTxDone) {
		err = nil
	}
	return errors.Join(err, l.db.Close())
}
