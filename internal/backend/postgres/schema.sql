-- The tables and functions of the PostgreSQL store after all migrations, to read; nothing executes it.
-- The partitions of passages, which add_partition makes, are not here.
-- Do not edit it. After a change of the migrations run
--   scripts/with-services go test ./internal/backend/postgres -run TestSchemaFileIsCurrent -update

CREATE TABLE backlog (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    jobs bigint NOT NULL,
    bytes bigint NOT NULL
);
CREATE INDEX backlog_tenant ON public.backlog USING btree (tenant);
ALTER TABLE backlog ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON backlog AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON backlog TO gristmill_app;

CREATE TABLE collection_counts (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    collections bigint NOT NULL,
    CONSTRAINT collection_counts_pkey PRIMARY KEY (tenant)
) WITH (fillfactor=50);
ALTER TABLE collection_counts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON collection_counts AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON collection_counts TO gristmill_app;

CREATE TABLE collections (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    active_space bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    summaries text,
    CONSTRAINT collections_pkey PRIMARY KEY (id, tenant),
    CONSTRAINT collections_name_tenant_key UNIQUE (name, tenant),
    CONSTRAINT collections_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants(id),
    CONSTRAINT collections_tenant_live_space_fkey FOREIGN KEY (tenant, active_space) REFERENCES spaces(tenant, id),
    CONSTRAINT collections_summaries_check CHECK ((summaries = ANY (ARRAY['model'::text, 'on_demand'::text, 'off'::text])))
);
CREATE TRIGGER counts AFTER INSERT OR DELETE ON public.collections FOR EACH ROW EXECUTE FUNCTION count_collections();
ALTER TABLE collections ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON collections AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON collections TO gristmill_app;

CREATE TABLE deliveries (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id uuid NOT NULL,
    webhook uuid NOT NULL,
    event text NOT NULL,
    job uuid NOT NULL,
    document uuid NOT NULL,
    body text NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    status integer DEFAULT 0 NOT NULL,
    error text DEFAULT ''::text NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now(),
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT deliveries_pkey PRIMARY KEY (id, tenant),
    CONSTRAINT deliveries_tenant_webhook_fkey FOREIGN KEY (tenant, webhook) REFERENCES webhooks(tenant, id) ON DELETE CASCADE,
    CONSTRAINT deliveries_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
);
CREATE INDEX deliveries_due ON public.deliveries USING btree (webhook, next_attempt_at, tenant) WHERE (state = 'pending'::text);
CREATE INDEX deliveries_over ON public.deliveries USING btree (tenant, ended_at) WHERE (state <> 'pending'::text);
CREATE INDEX deliveries_pending ON public.deliveries USING btree (tenant, next_attempt_at) WHERE (state = 'pending'::text);
CREATE INDEX deliveries_webhook ON public.deliveries USING btree (webhook, id, tenant);
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON deliveries AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON deliveries TO gristmill_app;

CREATE TABLE document_fields (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    collection uuid NOT NULL,
    field text NOT NULL,
    value text NOT NULL,
    document uuid NOT NULL,
    CONSTRAINT document_fields_pkey PRIMARY KEY (collection, field, value, document, tenant)
);
ALTER TABLE document_fields ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON document_fields AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON document_fields TO gristmill_app;

CREATE TABLE documents (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id uuid NOT NULL,
    collection uuid NOT NULL,
    key text NOT NULL,
    state text NOT NULL,
    published_version integer,
    newest_version integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT documents_pkey PRIMARY KEY (id, tenant),
    CONSTRAINT documents_tenant_collection_fkey FOREIGN KEY (tenant, collection) REFERENCES collections(tenant, id),
    CONSTRAINT documents_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'ready'::text, 'failed'::text, 'deleting'::text])))
);
CREATE INDEX documents_collection ON public.documents USING btree (collection, id, tenant);
CREATE INDEX documents_collection_key ON public.documents USING btree (collection, state, key COLLATE "C", id, tenant) WHERE (deleted_at IS NULL);
CREATE INDEX documents_collection_state ON public.documents USING btree (collection, state, id, tenant) WHERE (deleted_at IS NULL);
CREATE UNIQUE INDEX documents_key ON public.documents USING btree (collection, key, tenant) WHERE (deleted_at IS NULL);
CREATE INDEX documents_tenant_key ON public.documents USING btree (tenant, state, key COLLATE "C", id) WHERE (deleted_at IS NULL);
CREATE INDEX documents_tenant_state ON public.documents USING btree (tenant, state, id) WHERE (deleted_at IS NULL);
CREATE TRIGGER fields AFTER UPDATE OF published_version, deleted_at ON public.documents FOR EACH ROW WHEN (((old.published_version IS DISTINCT FROM new.published_version) OR (old.deleted_at IS DISTINCT FROM new.deleted_at))) EXECUTE FUNCTION keep_document_fields();
CREATE TRIGGER missed_publications AFTER UPDATE OF published_version ON public.documents FOR EACH ROW WHEN (((new.published_version IS NOT NULL) AND (old.published_version IS DISTINCT FROM new.published_version))) EXECUTE FUNCTION count_missed_publications();
ALTER TABLE documents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON documents AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON documents TO gristmill_app;

CREATE TABLE garbage (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    kind text NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    document uuid,
    version integer,
    object text,
    space bigint,
    hashes bytea[],
    scan_cursor jsonb,
    CONSTRAINT garbage_pkey PRIMARY KEY (id, tenant),
    CONSTRAINT garbage_kind_check CHECK ((kind = ANY (ARRAY['version'::text, 'object'::text, 'passages'::text, 'space'::text, 'search'::text])))
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000);
CREATE INDEX garbage_due ON public.garbage USING btree (tenant, due_at, id);
CREATE INDEX garbage_object ON public.garbage USING btree (object, tenant) WHERE (kind = 'object'::text);
CREATE INDEX garbage_space ON public.garbage USING btree (space, tenant) WHERE (kind = ANY (ARRAY['passages'::text, 'space'::text]));
CREATE INDEX garbage_version ON public.garbage USING btree (document, version, tenant) WHERE (kind = 'version'::text);
ALTER TABLE garbage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON garbage AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON garbage TO gristmill_app;

CREATE TABLE grown_spaces (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    space bigint NOT NULL,
    CONSTRAINT grown_spaces_pkey PRIMARY KEY (tenant, id)
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=1000);
ALTER TABLE grown_spaces ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON grown_spaces AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON grown_spaces TO gristmill_app;

CREATE TABLE idempotency_keys (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    answer jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key, tenant),
    CONSTRAINT idempotency_keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants(id)
);
CREATE INDEX idempotency_keys_made ON public.idempotency_keys USING btree (tenant, created_at);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_keys AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON idempotency_keys TO gristmill_app;

CREATE TABLE jobs (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id uuid NOT NULL,
    document uuid NOT NULL,
    version integer NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    size bigint NOT NULL,
    reindex uuid,
    collection uuid NOT NULL,
    counted_by_reindex boolean DEFAULT false NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (id, tenant),
    CONSTRAINT jobs_document_version_tenant_key UNIQUE (document, version, tenant),
    CONSTRAINT jobs_tenant_document_version_fkey FOREIGN KEY (tenant, document, version) REFERENCES versions(tenant, document, version) ON DELETE CASCADE,
    CONSTRAINT jobs_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text])))
);
CREATE INDEX jobs_collection_state ON public.jobs USING btree (collection, state, id, tenant);
CREATE INDEX jobs_tenant_state ON public.jobs USING btree (tenant, state, id);
CREATE INDEX jobs_uncounted ON public.jobs USING btree (reindex, tenant) WHERE ((reindex IS NOT NULL) AND (NOT counted_by_reindex));
CREATE TRIGGER backlog AFTER INSERT OR DELETE ON public.jobs FOR EACH ROW EXECUTE FUNCTION count_backlog();
CREATE TRIGGER backlog_update AFTER UPDATE OF state ON public.jobs FOR EACH ROW WHEN (((old.state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text])) <> (new.state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text])))) EXECUTE FUNCTION count_backlog();
CREATE TRIGGER collection BEFORE INSERT ON public.jobs FOR EACH ROW WHEN ((new.collection IS NULL)) EXECUTE FUNCTION fill_job_collection();
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON jobs AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON jobs TO gristmill_app;

CREATE TABLE manifest (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    document uuid NOT NULL,
    version integer NOT NULL,
    space bigint NOT NULL,
    ordinal integer NOT NULL,
    hash bytea NOT NULL,
    start_byte bigint NOT NULL,
    end_byte bigint NOT NULL,
    CONSTRAINT manifest_pkey PRIMARY KEY (document, version, space, ordinal, tenant)
);
CREATE INDEX manifest_hash ON public.manifest USING btree (hash, tenant, space);
ALTER TABLE manifest ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON manifest AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON manifest TO gristmill_app;

CREATE TABLE passages (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    space bigint NOT NULL,
    hash bytea NOT NULL,
    tokens integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    embedding halfvec NOT NULL,
    heading_path text[] NOT NULL,
    context text NOT NULL,
    content text NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    omitted integer[],
    embedded_bytes integer,
    CONSTRAINT passages_pkey PRIMARY KEY (space, hash),
    CONSTRAINT passages_hash_check CHECK ((octet_length(hash) = 32))
) PARTITION BY LIST (space);
ALTER TABLE passages ALTER context SET STORAGE MAIN;
ALTER TABLE passages ALTER hash SET STORAGE PLAIN;
ALTER TABLE passages ALTER heading_path SET STORAGE MAIN;
ALTER TABLE passages ALTER tenant SET STORAGE PLAIN;
ALTER TABLE passages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON passages AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON passages TO gristmill_app;

CREATE TABLE processes (
    id bigint NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT processes_pkey PRIMARY KEY (id)
);
GRANT DELETE, INSERT, SELECT ON processes TO gristmill_app;

CREATE TABLE reindexes (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id uuid NOT NULL,
    collection uuid NOT NULL,
    change text NOT NULL,
    from_space bigint NOT NULL,
    to_space bigint NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    chunk_tokens integer NOT NULL,
    chunk_overlap integer NOT NULL,
    key_prefix text DEFAULT ''::text NOT NULL,
    documents uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    force boolean DEFAULT false NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    stage text DEFAULT 'documents'::text NOT NULL,
    last_document uuid,
    progress jsonb DEFAULT '{}'::jsonb NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    counted_at timestamp with time zone,
    attempt integer DEFAULT 0 NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    round integer DEFAULT 0 NOT NULL,
    lease uuid,
    lease_until timestamp with time zone,
    next_attempt_at timestamp with time zone,
    dispatched_at timestamp with time zone,
    error text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    process bigint,
    CONSTRAINT reindexes_pkey PRIMARY KEY (id, tenant),
    CONSTRAINT reindexes_tenant_collection_fkey FOREIGN KEY (tenant, collection) REFERENCES collections(tenant, id),
    CONSTRAINT reindexes_change_check CHECK ((change = ANY (ARRAY['nothing'::text, 'model'::text, 'chunking'::text]))),
    CONSTRAINT reindexes_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text, 'paused'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text])))
);
CREATE UNIQUE INDEX reindexes_active ON public.reindexes USING btree (collection, tenant) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text, 'paused'::text]));
CREATE INDEX reindexes_dispatched ON public.reindexes USING btree (tenant, dispatched_at) WHERE ((state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text])) AND (dispatched_at IS NOT NULL));
CREATE INDEX reindexes_space ON public.reindexes USING btree (to_space, tenant);
CREATE INDEX reindexes_undispatched ON public.reindexes USING btree (tenant, id) WHERE ((state = 'queued'::text) AND (dispatched_at IS NULL));
ALTER TABLE reindexes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON reindexes AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON reindexes TO gristmill_app;

CREATE TABLE released_sections (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    node bytea NOT NULL,
    released_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT released_sections_pkey PRIMARY KEY (node, tenant),
    CONSTRAINT released_sections_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants(id)
);
CREATE INDEX released_sections_age ON public.released_sections USING btree (tenant, released_at);
ALTER TABLE released_sections ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON released_sections AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON released_sections TO gristmill_app;

CREATE TABLE section_summaries (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    node bytea NOT NULL,
    summary text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT section_summaries_pkey PRIMARY KEY (node, tenant),
    CONSTRAINT section_summaries_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants(id),
    CONSTRAINT section_summaries_node_check CHECK ((octet_length(node) = 32))
);
ALTER TABLE section_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON section_summaries AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON section_summaries TO gristmill_app;

CREATE TABLE shared_passages (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    space bigint NOT NULL,
    hash bytea NOT NULL,
    tokens integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    embedding halfvec NOT NULL,
    heading_path text[] NOT NULL,
    context text NOT NULL,
    content text NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    omitted integer[],
    embedded_bytes integer,
    CONSTRAINT shared_passages_pkey PRIMARY KEY (space, hash, tenant),
    CONSTRAINT passages_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT shared_passages_embedding_check CHECK ((vector_dims(embedding) <= 3000))
) WITH (vacuum_truncate=false);
ALTER TABLE shared_passages ALTER context SET STORAGE MAIN;
ALTER TABLE shared_passages ALTER embedding SET STORAGE PLAIN;
ALTER TABLE shared_passages ALTER hash SET STORAGE PLAIN;
ALTER TABLE shared_passages ALTER heading_path SET STORAGE MAIN;
ALTER TABLE shared_passages ALTER tenant SET STORAGE PLAIN;
ALTER TABLE shared_passages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON shared_passages AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON shared_passages TO gristmill_app;

CREATE TABLE shared_passages_long (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    space bigint NOT NULL,
    hash bytea NOT NULL,
    tokens integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    embedding halfvec NOT NULL,
    heading_path text[] NOT NULL,
    context text NOT NULL,
    content text NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    omitted integer[],
    embedded_bytes integer,
    CONSTRAINT shared_passages_long_pkey PRIMARY KEY (space, hash, tenant),
    CONSTRAINT passages_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT shared_passages_long_embedding_check CHECK ((vector_dims(embedding) > 3000))
) WITH (vacuum_truncate=false);
ALTER TABLE shared_passages_long ALTER context SET STORAGE MAIN;
ALTER TABLE shared_passages_long ALTER hash SET STORAGE PLAIN;
ALTER TABLE shared_passages_long ALTER heading_path SET STORAGE MAIN;
ALTER TABLE shared_passages_long ALTER tenant SET STORAGE PLAIN;
ALTER TABLE shared_passages_long ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON shared_passages_long AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON shared_passages_long TO gristmill_app;

CREATE TABLE space_versions (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    document uuid NOT NULL,
    version integer NOT NULL,
    space bigint NOT NULL,
    passages bigint NOT NULL,
    warnings jsonb DEFAULT '[]'::jsonb NOT NULL,
    left_out text,
    CONSTRAINT space_versions_pkey PRIMARY KEY (document, version, space, tenant),
    CONSTRAINT placements_tenant_document_version_fkey FOREIGN KEY (tenant, document, version) REFERENCES versions(tenant, document, version) ON DELETE CASCADE,
    CONSTRAINT placements_tenant_space_fkey FOREIGN KEY (tenant, space) REFERENCES spaces(tenant, id)
);
CREATE INDEX space_versions_document ON public.space_versions USING btree (space, document, tenant);
CREATE INDEX space_versions_left_out ON public.space_versions USING btree (space, document, tenant) WHERE (left_out IS NOT NULL);
ALTER TABLE space_versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON space_versions AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON space_versions TO gristmill_app;

CREATE TABLE spaces (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    collection uuid NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    chunk_tokens integer NOT NULL,
    chunk_overlap integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    written boolean DEFAULT true NOT NULL,
    indexed boolean DEFAULT false NOT NULL,
    drop_after timestamp with time zone,
    storage text DEFAULT 'shared'::text NOT NULL,
    dropped_to uuid,
    ef_search integer,
    measured_tuples real,
    missed_publications bigint DEFAULT 0 NOT NULL,
    CONSTRAINT spaces_pkey PRIMARY KEY (id, tenant),
    CONSTRAINT spaces_tenant_collection_fkey FOREIGN KEY (tenant, collection) REFERENCES collections(tenant, id),
    CONSTRAINT spaces_dimensions_check CHECK (((dimensions >= 0) AND (dimensions <= 16000))),
    CONSTRAINT spaces_ef_search_check CHECK (((ef_search >= 1) AND (ef_search <= 1000))),
    CONSTRAINT spaces_storage_check CHECK ((storage = ANY (ARRAY['shared'::text, 'moving'::text, 'moved'::text, 'own'::text])))
);
CREATE INDEX spaces_collection ON public.spaces USING btree (collection, tenant);
CREATE INDEX spaces_model ON public.spaces USING btree (tenant, model, dimensions);
ALTER TABLE spaces ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON spaces AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON spaces TO gristmill_app;

CREATE TABLE summaries (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    document uuid NOT NULL,
    version integer NOT NULL,
    model text NOT NULL,
    summary text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT summaries_pkey PRIMARY KEY (document, version, tenant),
    CONSTRAINT summaries_tenant_document_version_fkey FOREIGN KEY (tenant, document, version) REFERENCES versions(tenant, document, version) ON DELETE CASCADE
);
ALTER TABLE summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON summaries AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON summaries TO gristmill_app;

CREATE TABLE tasks (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    job uuid NOT NULL,
    kind text NOT NULL,
    document uuid NOT NULL,
    version integer NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    lease uuid,
    lease_until timestamp with time zone,
    next_attempt_at timestamp with time zone,
    dispatched_at timestamp with time zone,
    error text DEFAULT ''::text NOT NULL,
    progress jsonb DEFAULT '{}'::jsonb NOT NULL,
    round integer DEFAULT 0 NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    process bigint,
    summary_requested boolean DEFAULT false NOT NULL,
    CONSTRAINT tasks_pkey PRIMARY KEY (job, kind, tenant),
    CONSTRAINT tasks_document_version_kind_tenant_key UNIQUE (document, version, kind, tenant),
    CONSTRAINT tasks_tenant_job_fkey FOREIGN KEY (tenant, job) REFERENCES jobs(tenant, id) ON DELETE CASCADE,
    CONSTRAINT tasks_kind_check CHECK ((kind = ANY (ARRAY['knowledge'::text, 'summary'::text]))),
    CONSTRAINT tasks_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text])))
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=20000);
CREATE INDEX tasks_dispatched ON public.tasks USING btree (tenant, kind, dispatched_at) WHERE ((state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text])) AND (dispatched_at IS NOT NULL));
CREATE INDEX tasks_oldest ON public.tasks USING btree (tenant, kind, job) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text, 'waiting'::text]));
CREATE INDEX tasks_undispatched ON public.tasks USING btree (tenant, kind, job) WHERE ((state = 'queued'::text) AND (dispatched_at IS NULL));
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tasks AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON tasks TO gristmill_app;

CREATE TABLE tenants (
    id text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_id_check CHECK ((id ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text))
);
GRANT SELECT ON tenants TO gristmill_app;

CREATE TABLE uploads (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    object text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    abandoned_at timestamp with time zone,
    CONSTRAINT uploads_pkey PRIMARY KEY (object, tenant),
    CONSTRAINT uploads_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants(id)
);
CREATE INDEX uploads_age ON public.uploads USING btree (tenant, created_at);
ALTER TABLE uploads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON uploads AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON uploads TO gristmill_app;

CREATE TABLE verifications (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    last_document uuid NOT NULL,
    documents bigint NOT NULL,
    bytes bigint NOT NULL,
    findings bigint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    CONSTRAINT verifications_pkey PRIMARY KEY (tenant),
    CONSTRAINT verifications_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants(id)
);
ALTER TABLE verifications ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON verifications AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON verifications TO gristmill_app;

CREATE TABLE version_sections (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    document uuid NOT NULL,
    version integer NOT NULL,
    node bytea NOT NULL,
    CONSTRAINT version_sections_pkey PRIMARY KEY (document, version, node, tenant),
    CONSTRAINT version_sections_tenant_document_version_fkey FOREIGN KEY (tenant, document, version) REFERENCES versions(tenant, document, version) ON DELETE CASCADE
);
CREATE INDEX version_sections_node ON public.version_sections USING btree (node, tenant);
ALTER TABLE version_sections ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON version_sections AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON version_sections TO gristmill_app;

CREATE TABLE versions (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    document uuid NOT NULL,
    version integer NOT NULL,
    title text NOT NULL,
    metadata jsonb NOT NULL,
    object text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    media_type text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    warnings jsonb DEFAULT '[]'::jsonb NOT NULL,
    summary_warnings jsonb DEFAULT '[]'::jsonb NOT NULL,
    title_from_key boolean,
    object_etag text DEFAULT ''::text NOT NULL,
    damage text DEFAULT ''::text NOT NULL,
    CONSTRAINT versions_pkey PRIMARY KEY (document, version, tenant),
    CONSTRAINT versions_tenant_document_fkey FOREIGN KEY (tenant, document) REFERENCES documents(tenant, id),
    CONSTRAINT versions_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text))
);
CREATE INDEX versions_object ON public.versions USING btree (object, tenant);
ALTER TABLE versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON versions AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON versions TO gristmill_app;

CREATE TABLE webhooks (
    tenant text DEFAULT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) NOT NULL,
    id uuid NOT NULL,
    url text NOT NULL,
    secret bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT webhooks_pkey PRIMARY KEY (id, tenant),
    CONSTRAINT webhooks_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants(id)
);
ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhooks AS PERMISSIVE FOR ALL TO public
    USING (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"))
    WITH CHECK (tenant = ( SELECT NULLIF(current_setting('gristmill.tenant'::text, true), ''::text) AS "nullif"));
GRANT DELETE, INSERT, SELECT, UPDATE ON webhooks TO gristmill_app;

CREATE OR REPLACE FUNCTION public.add_partition(space_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    space     public.spaces;
    tenant_id text := nullif(pg_catalog.current_setting('gristmill.tenant', true), '');
    partition text := pg_catalog.format('passages_%s', space_id);
BEGIN
    SELECT * INTO space FROM public.spaces WHERE id = space_id AND tenant = tenant_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % has no space %', tenant_id, space_id;
    END IF;
    EXECUTE pg_catalog.format('CREATE TABLE public.%I (LIKE public.passages INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE, '
                              'CHECK (tenant = %L AND public.vector_dims(embedding) = %s))',
                              partition, space.tenant, space.dimensions);
    EXECUTE pg_catalog.format('ALTER TABLE public.%I ALTER embedding SET STORAGE %s',
                              partition, CASE WHEN space.dimensions <= 3000 THEN 'PLAIN' ELSE 'EXTERNAL' END);
    PERFORM public.protect(pg_catalog.format('public.%I', partition)::regclass);
    EXECUTE pg_catalog.format('ALTER TABLE public.passages ATTACH PARTITION public.%I FOR VALUES IN (%s)', partition, space_id);
    EXECUTE pg_catalog.format('ALTER TABLE public.%I OWNER TO gristmill_index', partition);
END
$function$;
REVOKE ALL ON FUNCTION add_partition(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_partition(bigint) TO gristmill_app;

CREATE OR REPLACE FUNCTION public.count_backlog()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.state IN ('queued', 'running', 'waiting') THEN
        INSERT INTO public.backlog (tenant, jobs, bytes) VALUES (OLD.tenant, -1, -OLD.size);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.state IN ('queued', 'running', 'waiting') THEN
        INSERT INTO public.backlog (tenant, jobs, bytes) VALUES (NEW.tenant, 1, NEW.size);
    END IF;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.count_collections()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE public.collection_counts SET collections = collections - 1 WHERE tenant = OLD.tenant;
    ELSE
        INSERT INTO public.collection_counts AS c (tenant, collections) VALUES (NEW.tenant, 1)
        ON CONFLICT (tenant) DO UPDATE SET collections = c.collections + 1;
    END IF;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.count_missed_publications()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    UPDATE public.spaces s SET missed_publications = s.missed_publications + 1
    FROM (SELECT w.id
          FROM public.spaces w
          WHERE w.collection = NEW.collection AND w.tenant = NEW.tenant AND w.written
            AND NOT EXISTS (SELECT FROM public.space_versions p
                            WHERE p.document = NEW.id AND p.version = NEW.published_version AND p.space = w.id AND p.tenant = NEW.tenant
                            OFFSET 0)
          ORDER BY w.id
          FOR NO KEY UPDATE) AS lacking
    WHERE s.id = lacking.id AND s.tenant = NEW.tenant;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.drop_partition(space_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '100ms'
AS $function$
DECLARE
    tenant_id text := nullif(pg_catalog.current_setting('gristmill.tenant', true), '');
BEGIN
    IF NOT EXISTS (SELECT FROM public.spaces WHERE id = space_id AND tenant = tenant_id)
       OR EXISTS (SELECT FROM public.collections WHERE active_space = space_id AND tenant = tenant_id) THEN
        RAISE EXCEPTION 'tenant % has no space % that could be dropped', tenant_id, space_id;
    END IF;
    EXECUTE pg_catalog.format('DROP TABLE IF EXISTS public.%I', pg_catalog.format('passages_%s', space_id));
END
$function$;
REVOKE ALL ON FUNCTION drop_partition(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_partition(bigint) TO gristmill_app;

CREATE OR REPLACE FUNCTION public.fill_job_collection()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    SELECT collection INTO NEW.collection FROM public.documents WHERE id = NEW.document AND tenant = NEW.tenant;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE FUNCTION public.keep_document_fields()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    before jsonb;
    after  jsonb;
BEGIN
    IF OLD.deleted_at IS NULL AND OLD.published_version IS NOT NULL THEN
        SELECT metadata INTO before FROM public.versions WHERE document = OLD.id AND version = OLD.published_version AND tenant = OLD.tenant;
    END IF;
    IF NEW.deleted_at IS NULL AND NEW.published_version IS NOT NULL THEN
        SELECT metadata INTO after FROM public.versions WHERE document = NEW.id AND version = NEW.published_version AND tenant = NEW.tenant;
    END IF;
    IF before IS NOT DISTINCT FROM after THEN
        RETURN NULL;
    END IF;
    IF before <> '{}' THEN
        DELETE FROM public.document_fields d
        WHERE d.collection = OLD.collection AND d.document = OLD.id AND d.tenant = OLD.tenant
          AND (d.field, d.value) IN (SELECT field, value FROM public.metadata_fields(before));
    END IF;
    IF after <> '{}' THEN
        INSERT INTO public.document_fields (tenant, collection, field, value, document)
        SELECT NEW.tenant, NEW.collection, field, value, NEW.id FROM public.metadata_fields(after)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.metadata_fields(metadata jsonb)
 RETURNS TABLE(field text, value text)
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    SELECT DISTINCT CASE WHEN octet_length(key) > 200 OR starts_with(key, 'sha256:') THEN 'sha256:' || encode(sha256(convert_to(key, 'UTF8')), 'hex') ELSE key END,
                    CASE WHEN octet_length(json) > 200 THEN 'sha256:' || encode(sha256(convert_to(json, 'UTF8')), 'hex') ELSE json END
    FROM (
        SELECT f.key, CASE jsonb_typeof(f.value)
                      WHEN 'object' THEN '{}'
                      WHEN 'array' THEN '[]'
                      WHEN 'number' THEN trim_scale((f.value #>> '{}')::numeric)::text -- 1.50 is 1.5
                      ELSE f.value::text END AS json
        FROM jsonb_each(metadata) AS f
        UNION ALL
        SELECT f.key, '[' || CASE jsonb_typeof(e.value) WHEN 'number' THEN trim_scale((e.value #>> '{}')::numeric)::text ELSE e.value::text END || ']'
        FROM jsonb_each(metadata) AS f
        CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(f.value) WHEN 'array' THEN f.value ELSE '[]' END) AS e
        WHERE jsonb_typeof(e.value) NOT IN ('array', 'object')
    ) AS fields
$function$;

CREATE OR REPLACE FUNCTION public.protect(name regclass)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    is_own text := '(tenant = (SELECT nullif(current_setting(''gristmill.tenant'', true), '''')))';
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %s USING %s WITH CHECK %s', name, is_own, is_own);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO gristmill_app', name);
END
$function$;
REVOKE ALL ON FUNCTION protect(regclass) FROM PUBLIC;

CREATE OR REPLACE FUNCTION public.space_stands(space_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_sort TO 'off'
AS $function$
BEGIN
    RETURN (SELECT p.document FROM public.space_versions p WHERE p.space = space_id AND p.passages > 0 ORDER BY p.document LIMIT 1) IS NOT NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.tenants_to_verify(before timestamp with time zone)
 RETURNS SETOF text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
DECLARE
    id text;
BEGIN
    FOR id IN SELECT t.id FROM public.tenants t LOOP
        PERFORM set_config('gristmill.tenant', id, true);
        IF NOT EXISTS (SELECT FROM public.verifications
                       WHERE started_at > before AND last_document = '00000000-0000-0000-0000-000000000000') THEN
            RETURN NEXT id;
        END IF;
    END LOOP;
    PERFORM set_config('gristmill.tenant', '', true);
END
$function$;
REVOKE ALL ON FUNCTION tenants_to_verify(timestamp with time zone) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_to_verify(timestamp with time zone) TO gristmill_app;

CREATE OR REPLACE FUNCTION public.tenants_with_deliveries()
 RETURNS SETOF text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
            DECLARE
                id text;
            BEGIN
                FOR id IN SELECT t.id FROM public.tenants t LOOP
                    PERFORM set_config('gristmill.tenant', id, true);
                    IF 
            EXISTS (SELECT FROM public.deliveries WHERE state = 'pending' AND next_attempt_at <= now())
         THEN
                        RETURN NEXT id;
                    END IF;
                END LOOP;
                PERFORM set_config('gristmill.tenant', '', true);
            END
            $function$;
REVOKE ALL ON FUNCTION tenants_with_deliveries() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_deliveries() TO gristmill_app;

CREATE OR REPLACE FUNCTION public.tenants_with_garbage(listed timestamp with time zone, noted timestamp with time zone, released timestamp with time zone, keyed timestamp with time zone, ended timestamp with time zone)
 RETURNS SETOF text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
            DECLARE
                id text;
            BEGIN
                FOR id IN SELECT t.id FROM public.tenants t LOOP
                    PERFORM set_config('gristmill.tenant', id, true);
                    IF 
            EXISTS (SELECT FROM public.garbage WHERE due_at <= listed)
            OR EXISTS (SELECT FROM public.uploads WHERE created_at <= noted)
            OR EXISTS (SELECT FROM public.released_sections WHERE released_at <= released)
            OR EXISTS (SELECT FROM public.idempotency_keys WHERE created_at <= keyed)
            OR EXISTS (SELECT FROM public.deliveries WHERE state <> 'pending' AND ended_at <= ended)
         THEN
                        RETURN NEXT id;
                    END IF;
                END LOOP;
                PERFORM set_config('gristmill.tenant', '', true);
            END
            $function$;
REVOKE ALL ON FUNCTION tenants_with_garbage(timestamp with time zone,timestamp with time zone,timestamp with time zone,timestamp with time zone,timestamp with time zone) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_garbage(timestamp with time zone,timestamp with time zone,timestamp with time zone,timestamp with time zone,timestamp with time zone) TO gristmill_app;

CREATE OR REPLACE FUNCTION public.tenants_with_grown_spaces()
 RETURNS SETOF text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
            DECLARE
                id text;
            BEGIN
                FOR id IN SELECT t.id FROM public.tenants t LOOP
                    PERFORM set_config('gristmill.tenant', id, true);
                    IF 
            EXISTS (SELECT FROM public.grown_spaces)
         THEN
                        RETURN NEXT id;
                    END IF;
                END LOOP;
                PERFORM set_config('gristmill.tenant', '', true);
            END
            $function$;
REVOKE ALL ON FUNCTION tenants_with_grown_spaces() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_grown_spaces() TO gristmill_app;

CREATE OR REPLACE FUNCTION public.tenants_with_work()
 RETURNS SETOF text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
DECLARE
    id text;
BEGIN
    FOR id IN SELECT t.id FROM public.tenants t ORDER BY t.id LOOP
        PERFORM set_config('gristmill.tenant', id, true);
        IF EXISTS (SELECT FROM public.tasks WHERE state IN ('queued', 'running', 'waiting'))
           OR EXISTS (SELECT FROM public.reindexes WHERE state IN ('queued', 'running', 'waiting')) THEN
            RETURN NEXT id;
        END IF;
    END LOOP;
    PERFORM set_config('gristmill.tenant', '', true);
END
$function$;
REVOKE ALL ON FUNCTION tenants_with_work() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_work() TO gristmill_app;
