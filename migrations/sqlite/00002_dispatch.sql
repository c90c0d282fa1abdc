-- Fair dispatch and crashes. A task is put into the queue when its tenant has
-- room there, and no longer when it is accepted: until then dispatched_at is
-- NULL. SQLite cannot take a constraint away, so the table is made anew.

-- +goose Up

-- Round is how often the task was claimed, or retried on request; crashes are
-- attempts that lost their worker. The lease fences a task: who does not hold
-- it writes nothing.
CREATE TABLE tasks_with_rounds (
    tenant          TEXT    NOT NULL,
    document        TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('knowledge', 'summary')),
    job             TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    attempt         INTEGER NOT NULL DEFAULT 0,
    round           INTEGER NOT NULL DEFAULT 0,
    crashes         INTEGER NOT NULL DEFAULT 0,
    lease           TEXT,
    lease_until     INTEGER,
    next_attempt_at INTEGER,
    dispatched_at   INTEGER,
    error           TEXT    NOT NULL DEFAULT '',
    progress        TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(progress)),
    PRIMARY KEY (tenant, document, version, kind),
    FOREIGN KEY (tenant, document, version) REFERENCES jobs (tenant, document, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

INSERT INTO tasks_with_rounds (tenant, document, version, kind, job, state, attempt, lease, lease_until, next_attempt_at, dispatched_at, error, progress)
SELECT t.tenant, t.document, t.version, t.kind, j.id, t.state, t.attempt, t.lease, t.lease_until, t.next_attempt_at, t.dispatched_at, t.error, t.progress
FROM tasks t
JOIN jobs j ON j.tenant = t.tenant AND j.document = t.document AND j.version = t.version;

DROP TABLE tasks;
ALTER TABLE tasks_with_rounds RENAME TO tasks;

CREATE INDEX tasks_unended ON tasks (tenant, dispatched_at) WHERE state IN ('queued', 'running', 'waiting');

-- What is to be dispatched next.
CREATE INDEX tasks_undispatched ON tasks (tenant, kind, job) WHERE state = 'queued' AND dispatched_at IS NULL;
