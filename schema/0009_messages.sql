-- Whole messages that scanners handed over, and the mail that the Control Center sends.

-- How much of a message is there while it comes in; a scanner that has gone leaves one behind.
CREATE TABLE message_upload (
    id uuid PRIMARY KEY,
    scanner_id uuid NOT NULL,
    chunks integer NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    begun_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX message_upload_scanner ON message_upload (scanner_id);
CREATE INDEX message_upload_begun ON message_upload (begun_at);

-- Once the body is not needed any more the row stays for a while, so that a message that comes again
-- because an answer was lost is known.
CREATE TABLE message (
    id uuid PRIMARY KEY,
    scanner_id uuid NOT NULL,
    info jsonb NOT NULL,
    size bigint NOT NULL,
    chunks integer NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now(),
    expunged_at timestamptz
);
CREATE INDEX message_expunged ON message (expunged_at) WHERE expunged_at IS NOT NULL;

-- The body in pieces, each compressed by itself (zstd).
CREATE TABLE message_chunk (
    message_id uuid NOT NULL,
    number integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (message_id, number)
);
ALTER TABLE message_chunk ALTER COLUMN data SET STORAGE EXTERNAL;

-- Messages that something has stopped referring to: looked at by the expunger, so that it never
-- walks over those that are needed.
CREATE TABLE message_unused (id uuid PRIMARY KEY);

-- Mail on its way to a scanner. `bound_to` is the scanner that was asked to store it: it may have
-- done so, and therefore no other is asked.
CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    sender text NOT NULL,
    recipients jsonb NOT NULL,
    message bytea,
    message_id uuid,
    header text,
    route text,
    inbound boolean NOT NULL,
    reason text NOT NULL,
    administrator text NOT NULL,
    scanner_id uuid,
    bound_to uuid,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    leased boolean NOT NULL DEFAULT false, -- somebody is at it, until the next attempt is due
    problem text NOT NULL DEFAULT '',
    CHECK ((message IS NULL) <> (message_id IS NULL))
);
CREATE INDEX outbox_due ON outbox (next_attempt);
CREATE INDEX outbox_message ON outbox (message_id) WHERE message_id IS NOT NULL;

CREATE FUNCTION outbox_release() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO message_unused SELECT DISTINCT message_id FROM gone WHERE message_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_gone AFTER DELETE ON outbox
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION outbox_release();
