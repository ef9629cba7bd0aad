-- Requests of the console to processes of scanners, until they are answered (seconds). Nothing of
-- it needs to outlive a crash of the database.
CREATE UNLOGGED TABLE scanner_request (
    id uuid PRIMARY KEY,
    scanner_id uuid NOT NULL REFERENCES scanner,
    target text NOT NULL,
    request text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    taken_at timestamptz,
    reply text
);
CREATE INDEX scanner_request_scanner ON scanner_request (scanner_id, created_at);
CREATE INDEX scanner_request_expiry ON scanner_request (expires_at);
