-- Webhooks, and the outbox of what is to be sent to them: a delivery is
-- written in the transaction that ends its job.

-- +goose Up

CREATE TABLE public.webhooks (
    tenant     text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), '') REFERENCES public.tenants,
    id         uuid        NOT NULL,
    url        text        NOT NULL,
    secret     bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, tenant)
);

-- A delivery outlives its job, which goes with its version. The body is kept as
-- it is sent: every attempt sends the same bytes.
CREATE TABLE public.deliveries (
    tenant          text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    id              uuid        NOT NULL,
    webhook         uuid        NOT NULL,
    event           text        NOT NULL,
    job             uuid        NOT NULL,
    document        uuid        NOT NULL,
    body            text        NOT NULL,
    state           text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer     NOT NULL DEFAULT 0,
    status          integer     NOT NULL DEFAULT 0,
    error           text        NOT NULL DEFAULT '',
    next_attempt_at timestamptz DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    PRIMARY KEY (id, tenant),
    FOREIGN KEY (tenant, webhook) REFERENCES public.webhooks (tenant, id) ON DELETE CASCADE
);

CREATE INDEX deliveries_webhook ON public.deliveries (webhook, id, tenant);
CREATE INDEX deliveries_due ON public.deliveries (webhook, next_attempt_at, tenant) WHERE state = 'pending';
CREATE INDEX deliveries_ended ON public.deliveries (ended_at, tenant) WHERE state <> 'pending';

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['webhooks', 'deliveries'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON public.%I '
                       'USING (tenant = nullif(current_setting(''gristmill.tenant'', true), '''')) '
                       'WITH CHECK (tenant = nullif(current_setting(''gristmill.tenant'', true), ''''))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO gristmill_app', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
