-- The metadata of documents of before as rows, 500 documents at a time. Each slice is
-- a transaction of some 50 ms that locks these documents, so that none of them
-- is published or deleted meanwhile; nobody else waits. A million documents take a
-- minute or two.

-- +goose NO TRANSACTION
-- +goose Up

-- Each tenant's as that tenant, since row-level security may bind the owner.
-- +goose StatementBegin
DO $$
DECLARE
    tenant_id     text;
    collection_id uuid;
    reached       uuid;
    slice         uuid[];
BEGIN
    FOR tenant_id IN SELECT id FROM public.tenants ORDER BY id LOOP
        PERFORM pg_catalog.set_config('gristmill.tenant', tenant_id, true);
        FOREACH collection_id IN ARRAY ARRAY(SELECT id FROM public.collections WHERE tenant = tenant_id) LOOP
            reached := '00000000-0000-0000-0000-000000000000';
            LOOP
                PERFORM pg_catalog.set_config('gristmill.tenant', tenant_id, true);
                slice := ARRAY(
                    SELECT id FROM public.documents
                    WHERE tenant = tenant_id AND collection = collection_id AND id > reached
                    ORDER BY id
                    LIMIT 500);
                EXIT WHEN slice = '{}';
                BEGIN
                    PERFORM FROM public.documents WHERE tenant = tenant_id AND id = ANY (slice) ORDER BY id FOR NO KEY UPDATE;
                    INSERT INTO public.document_fields (tenant, collection, field, value, document)
                    SELECT d.tenant, d.collection, f.field, f.value, d.id
                    FROM public.documents d
                    JOIN public.versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.live_version
                    CROSS JOIN LATERAL public.metadata_fields(v.metadata) AS f
                    WHERE d.tenant = tenant_id AND d.id = ANY (slice) AND d.deleted_at IS NULL
                    ON CONFLICT DO NOTHING;
                    reached := slice[array_upper(slice, 1)];
                EXCEPTION WHEN deadlock_detected THEN -- again
                END;
                COMMIT;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
-- +goose StatementEnd
