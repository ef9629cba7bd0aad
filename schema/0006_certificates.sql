-- Certificates of the SMTP servers. Keys are kept as the other secrets are, in plain text: whoever
-- reads the database reads them, and nothing but the fleet ever asks for one.

CREATE TABLE certificate (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    certificate text NOT NULL DEFAULT '', -- PEM, the chain follows; '' until a request is answered
    key text NOT NULL,
    request text NOT NULL DEFAULT '',
    expires_at timestamptz,
    scanner_id uuid UNIQUE REFERENCES scanner, -- was made by itself, for this scanner alone
    created_at timestamptz NOT NULL DEFAULT now()
);

-- NULL: the one that was made for the scanner by itself.
ALTER TABLE scanner ADD COLUMN certificate_id bigint REFERENCES certificate;
CREATE INDEX scanner_certificate ON scanner (certificate_id) WHERE certificate_id IS NOT NULL;
