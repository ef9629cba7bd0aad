-- Custom signatures of the scanning engine, as files in the formats of libclamav. Each was loaded by
-- a scanner before it was put here.

CREATE TABLE signature_file (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    body text NOT NULL,
    signatures bigint NOT NULL,             -- that a scanner counted in it
    enabled boolean NOT NULL DEFAULT true,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
