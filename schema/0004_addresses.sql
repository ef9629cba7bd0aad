-- Domains that stand for others and whose recipients are checked; aliases and masquerades.

ALTER TABLE domain
    ADD COLUMN alias_of text COLLATE "C" REFERENCES domain,
    ADD COLUMN recipients text NOT NULL DEFAULT 'any'
        CHECK (recipients IN ('any', 'reject', 'drop'));
CREATE INDEX domain_alias_of ON domain (alias_of) WHERE alias_of IS NOT NULL;

-- "user@example.com", or "@example.com" for a whole domain; targets is an array of addresses.
CREATE TABLE alias (
    address text COLLATE "C" PRIMARY KEY,
    targets jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- As alias.address, and "@.example.com" for everything under a domain.
CREATE TABLE masquerade (
    sender text COLLATE "C" PRIMARY KEY,
    replacement text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- What a file holds that shall replace everything, until its administrator has seen the counts.
CREATE TABLE import_draft (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list text NOT NULL,
    administrator text NOT NULL,
    rows jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
