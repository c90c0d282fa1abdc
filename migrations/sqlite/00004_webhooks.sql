-- Webhooks, and the outbox of what is to be sent to them: a delivery is
-- written in the transaction that ends its job.

-- +goose Up

CREATE TABLE webhooks (
    tenant     TEXT    NOT NULL REFERENCES tenants,
    id         TEXT    NOT NULL,
    url        TEXT    NOT NULL,
    secret     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- A delivery outlives its job, which goes with its version. The body is kept as
-- it is sent: every attempt sends the same bytes.
CREATE TABLE deliveries (
    tenant          TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    webhook         TEXT    NOT NULL,
    event           TEXT    NOT NULL,
    job             TEXT    NOT NULL,
    document        TEXT    NOT NULL,
    body            BLOB    NOT NULL,
    state           TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    status          INTEGER NOT NULL DEFAULT 0,
    error           TEXT    NOT NULL DEFAULT '',
    next_attempt_at INTEGER,
    created_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, webhook) REFERENCES webhooks ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_webhook ON deliveries (tenant, webhook, id);
CREATE INDEX deliveries_due ON deliveries (tenant, webhook, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_ended ON deliveries (tenant, ended_at) WHERE state <> 'pending';
