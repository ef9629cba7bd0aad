-- Settings, accounts, scanners and domains: everything but the audit trail.

-- Milliseconds since 1970 UTC, as the programs count time.
CREATE FUNCTION to_ms(moment timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT floor(extract(epoch FROM moment) * 1000)::bigint $$;

-- One row: rises with every change of what scanners are sent.
CREATE TABLE configuration_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL
);
INSERT INTO configuration_version (version) VALUES (1);

CREATE TABLE setting (
    key text COLLATE "C" PRIMARY KEY,
    value jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Who changed what, and when.
CREATE TABLE administrator_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    administrator text NOT NULL,
    peer text NOT NULL DEFAULT '',
    action text NOT NULL,
    object text NOT NULL DEFAULT '',
    old_value jsonb,
    new_value jsonb,
    detail jsonb
);
CREATE INDEX administrator_log_at ON administrator_log (at);

CREATE TABLE administrator (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL DEFAULT '',
    password_hash text NOT NULL,
    must_change_password boolean NOT NULL,
    failed_sign_ins integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    signed_in_at timestamptz
);
CREATE UNIQUE INDEX administrator_name ON administrator (lower(name));

-- The token itself is in the browser only; here is its SHA-256.
CREATE TABLE session (
    token_hash text COLLATE "C" PRIMARY KEY,
    csrf text NOT NULL,
    administrator_id bigint NOT NULL REFERENCES administrator ON DELETE CASCADE,
    peer text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX session_administrator ON session (administrator_id);
CREATE INDEX session_seen ON session (seen_at);

-- A scanner that was removed keeps its row: the audit trail names it.
CREATE TABLE scanner (
    id uuid PRIMARY KEY,
    host_name text NOT NULL,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    seen_at timestamptz,
    configuration_version bigint NOT NULL DEFAULT 0,
    failed_version bigint NOT NULL DEFAULT 0,
    failed_reason text NOT NULL DEFAULT '',
    software_version text NOT NULL DEFAULT '',
    status jsonb,
    smtp jsonb NOT NULL
);

CREATE TABLE enrolment (
    secret_hash text COLLATE "C" PRIMARY KEY,
    host_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    scanner_id uuid REFERENCES scanner
);

CREATE TABLE domain (
    name text COLLATE "C" PRIMARY KEY,
    route jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
