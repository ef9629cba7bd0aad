-- The audit trail of messages. Each table is partitioned by the UTC day of the message's time, which
-- its identifier (UUIDv7) holds, so that every row of a message is found in one partition of each.

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE EXCEPTION 'the extension pg_trgm is needed and cannot be created: %', SQLERRM
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'have the owner or a superuser run CREATE EXTENSION pg_trgm in this database '
                     '(it comes with PostgreSQL''s contrib modules)';
END
$$;

-- How far the events of a queue have been taken.
CREATE TABLE audit_stream (
    scanner_id uuid NOT NULL,
    stream text COLLATE "C" NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scanner_id, stream)
);

-- One row a message. Columns are NULL until an event tells them.
CREATE TABLE audit_message (
    at timestamptz NOT NULL,
    id uuid NOT NULL,
    scanner_id uuid NOT NULL,
    received_at timestamptz,
    direction text,
    peer_ip inet,
    peer_port integer,
    helo text,
    protocol text,
    tls text,
    sender text,
    subject text,
    header_from text,
    header_message_id text,
    size bigint,
    verdict text,
    reason text,
    threats jsonb,
    parts integer,
    elapsed_us bigint,
    action text,
    policy text,
    detail text,
    reply text,
    PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
CREATE INDEX ON audit_message USING gin (sender gin_trgm_ops, subject gin_trgm_ops);
CREATE INDEX ON audit_message USING hash (header_message_id);
CREATE INDEX ON audit_message (peer_ip, at);
CREATE INDEX ON audit_message (verdict, at) WHERE verdict <> 'clean';

-- One row a recipient of a message; idx is its place in the `received` event.
CREATE TABLE audit_recipient (
    message_at timestamptz NOT NULL,
    message_id uuid NOT NULL,
    idx integer NOT NULL,
    address text,
    state text NOT NULL,
    changed_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt timestamptz,
    host text,
    ip inet,
    port integer,
    tls text,
    reply text,
    action text,
    policy text,
    dsn uuid,
    PRIMARY KEY (message_at, message_id, idx)
) PARTITION BY RANGE (message_at);
CREATE INDEX ON audit_recipient USING gin (address gin_trgm_ops);
CREATE INDEX ON audit_recipient (state, message_at)
    WHERE state <> 'delivered' AND state <> 'queued' AND state <> 'to be scanned';

-- Every event as it came; payload without the members that are columns.
CREATE TABLE audit_event (
    message_at timestamptz NOT NULL,
    message_id uuid NOT NULL,
    at timestamptz NOT NULL,
    scanner_id uuid NOT NULL,
    stream text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    payload jsonb NOT NULL
) PARTITION BY RANGE (message_at);
CREATE INDEX ON audit_event (message_id);

-- Events that break the form, kept as text with the reason.
CREATE TABLE audit_rejected (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    scanner_id uuid NOT NULL,
    stream text NOT NULL,
    seq bigint NOT NULL,
    reason text NOT NULL,
    event text NOT NULL
);
CREATE INDEX audit_rejected_at ON audit_rejected (at);

-- Figures of the dashboard, counted as the events come in; a row a scanner, so that intake of
-- different scanners never waits for one another.
CREATE TABLE audit_hour (
    hour timestamptz NOT NULL,
    scanner_id uuid NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    virus bigint NOT NULL DEFAULT 0,
    spam bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, scanner_id)
);

-- The days that have partitions.
CREATE TABLE audit_day (day date PRIMARY KEY);

-- Creates the partitions of the days that have none. They are filled in beside the tables and then
-- attached: unlike CREATE TABLE ... PARTITION OF that keeps neither readers nor writers waiting.
CREATE FUNCTION audit_create_days(days date[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    wanted date;
    parent text;
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(7305601120001);
    FOR wanted IN SELECT DISTINCT day FROM unnest(days) AS asked (day)
                  WHERE NOT EXISTS (SELECT FROM audit_day a WHERE a.day = asked.day)
                  ORDER BY day
    LOOP
        FOREACH parent IN ARRAY ARRAY['audit_message', 'audit_recipient', 'audit_event']
        LOOP
            child := parent || to_char(wanted, '_YYYYMMDD');
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent, child, wanted::timestamp AT TIME ZONE 'UTC',
                           (wanted + 1)::timestamp AT TIME ZONE 'UTC');
        END LOOP;
        INSERT INTO audit_day (day) VALUES (wanted);
    END LOOP;
END
$$;
