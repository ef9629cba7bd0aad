-- Directories (LDAP) that scanners ask, and the users of SMTP AUTH that no directory knows.

-- Asked in the order of their positions.
CREATE TABLE directory_source (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    position integer NOT NULL,
    settings jsonb NOT NULL,            -- as in the configuration document, without name and password
    bind_password text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX directory_source_name ON directory_source (lower(name));

CREATE TABLE directory_user (
    name text COLLATE "C" PRIMARY KEY,  -- in lower case, as scanners compare it
    password_hash text NOT NULL,        -- Argon2id, as libsodium writes it
    enabled boolean NOT NULL DEFAULT true,
    changed_at timestamptz NOT NULL DEFAULT now()
);
