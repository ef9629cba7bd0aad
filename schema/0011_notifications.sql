-- Notifications of filters, until their mail is in the outbox, and the links in such mail.

CREATE TABLE notification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scanner_id uuid NOT NULL,
    message_id uuid NOT NULL,               -- of the audit trail
    template text COLLATE "C" NOT NULL,
    filter text COLLATE "C" NOT NULL,       -- that asked for it
    send_to jsonb NOT NULL,                 -- ["sender", "recipients", ADDRESS, ...]
    recipients jsonb NOT NULL,              -- indices of the recipients that the filter was met for
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    problem text NOT NULL DEFAULT '',       -- why it is late, or was not sent
    given_up boolean NOT NULL DEFAULT false
);
-- By hashes: very many recipients would not fit into an index.
CREATE UNIQUE INDEX notification_once ON notification (message_id, template, filter,
    jsonb_hash_extended(send_to, 0), jsonb_hash_extended(recipients, 0));
CREATE INDEX notification_due ON notification (due_at) WHERE sent_at IS NULL AND NOT given_up;
CREATE INDEX notification_created ON notification (created_at);

-- What a mailed link may do. The token itself is in the mail alone.
CREATE TABLE mailed_link (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash text COLLATE "C" NOT NULL UNIQUE,
    incident bigint NOT NULL REFERENCES incident (number) ON DELETE CASCADE,
    action text COLLATE "C" NOT NULL,       -- "view", or the id of the folder's action
    mailed_to text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,                    -- acted; looking does not count
    used_from text NOT NULL DEFAULT ''
);
CREATE INDEX mailed_link_incident ON mailed_link (incident);
CREATE INDEX mailed_link_expiry ON mailed_link (expires_at);

-- Each time that somebody opened one, or tried.
CREATE TABLE mailed_link_use (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    link bigint NOT NULL REFERENCES mailed_link (id) ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    peer text NOT NULL,
    what text NOT NULL                      -- "looked", "acted", "expired", "used", "decided"
);
CREATE INDEX mailed_link_use_of ON mailed_link_use (link, id);
