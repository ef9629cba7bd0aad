-- The policies of the fleet: the draft that administrators edit, and what was put in force.
-- Documents are kept as they were written (json). The words of a dictionary, which may be a million,
-- stand once under their SHA-256, however often a document that has them is saved; in the document
-- "words" is {"hash":S,"count":N} in place of the array.

CREATE TABLE policy_words (
    hash text COLLATE "C" PRIMARY KEY,
    count bigint NOT NULL,
    body text NOT NULL                      -- a JSON array
);

CREATE TABLE policy_draft (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL,
    document json NOT NULL,
    words text[] NOT NULL                   -- hashes in the document
);
INSERT INTO policy_draft (revision, document, words) VALUES (1, '{}', '{}');

CREATE TABLE policy_version (
    version bigint PRIMARY KEY,             -- counted from 1
    document json NOT NULL,
    words text[] NOT NULL,
    comment text NOT NULL,
    administrator text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

-- What was done to the draft, one line each.
CREATE TABLE policy_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version bigint REFERENCES policy_version,   -- that it came into force with; NULL: not yet
    what text NOT NULL,
    administrator text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX policy_change_version ON policy_change (version);
