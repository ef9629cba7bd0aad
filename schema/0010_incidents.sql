-- Content incidents: messages that a filter put into a folder, each with what was decided about it.

CREATE TABLE incident (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- what people call it by
    handover_id uuid NOT NULL UNIQUE,                       -- by which its body is kept
    message_id uuid,                                        -- of the audit trail
    scanner_id uuid NOT NULL,
    folder text COLLATE "C" NOT NULL,                       -- id of the policy's folder
    quarantine boolean NOT NULL,                            -- held; else the message went on
    received_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sender text NOT NULL,
    recipients jsonb NOT NULL,
    recipients_text text NOT NULL,                          -- for the search
    subject text NOT NULL,
    header_from text NOT NULL,
    direction text NOT NULL,
    host text NOT NULL,
    verdict text NOT NULL,
    filters jsonb NOT NULL,
    filters_text text NOT NULL,                             -- their names, for the search
    finds jsonb NOT NULL,
    size bigint NOT NULL,
    state text COLLATE "C" NOT NULL DEFAULT 'open',
    action text NOT NULL DEFAULT '',                        -- the name of the one that decided
    decided_at timestamptz,
    decided_by text NOT NULL DEFAULT '',
    assigned_to text NOT NULL DEFAULT ''
);
CREATE INDEX incident_newest ON incident (received_at DESC, number DESC);
CREATE INDEX incident_folder_newest ON incident (folder, received_at DESC, number DESC);
CREATE INDEX incident_open ON incident (folder, received_at DESC, number DESC)
    WHERE state = 'open';
CREATE INDEX incident_assigned ON incident (assigned_to, received_at DESC, number DESC)
    WHERE assigned_to <> '';
CREATE INDEX incident_message ON incident (message_id);
CREATE INDEX incident_words ON incident USING gin (sender gin_trgm_ops,
    recipients_text gin_trgm_ops, subject gin_trgm_ops, filters_text gin_trgm_ops);

-- Who did what, when.
CREATE TABLE incident_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident bigint NOT NULL REFERENCES incident (number) ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL,                                      -- "" Gatehouse itself
    what text NOT NULL,
    detail text NOT NULL DEFAULT '',
    comment text NOT NULL DEFAULT ''
);
CREATE INDEX incident_history_of ON incident_history (incident, id);

-- One row a folder, kept by the triggers: nobody counts a million incidents to show a page.
CREATE TABLE incident_folder (
    folder text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,                                     -- as its last incident said
    open bigint NOT NULL DEFAULT 0,
    closed bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0
);

CREATE FUNCTION incident_count() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    -- Always in the same order, so that two who change several folders do not wait for each other.
    IF TG_OP = 'INSERT' THEN
        INSERT INTO incident_folder AS f (folder, name, open, closed, bytes)
            SELECT folder, folder, count(*) FILTER (WHERE state = 'open'),
                   count(*) FILTER (WHERE state <> 'open'), sum(size)
            FROM added GROUP BY folder ORDER BY folder
            ON CONFLICT (folder) DO UPDATE SET open = f.open + EXCLUDED.open,
                closed = f.closed + EXCLUDED.closed, bytes = f.bytes + EXCLUDED.bytes;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE incident_folder f SET open = f.open - g.open, closed = f.closed - g.closed,
            bytes = f.bytes - g.bytes
            FROM (SELECT folder, count(*) FILTER (WHERE state = 'open') AS open,
                         count(*) FILTER (WHERE state <> 'open') AS closed, sum(size) AS bytes
                  FROM gone GROUP BY folder ORDER BY folder) g
            WHERE f.folder = g.folder;
    ELSE
        UPDATE incident_folder f SET open = f.open + g.open, closed = f.closed - g.open
            FROM (SELECT n.folder, count(*) FILTER (WHERE n.state = 'open')
                                   - count(*) FILTER (WHERE o.state = 'open') AS open
                  FROM added n JOIN gone o ON o.number = n.number
                  GROUP BY n.folder ORDER BY n.folder) g
            WHERE f.folder = g.folder AND g.open <> 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER incident_added AFTER INSERT ON incident
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION incident_count();
CREATE TRIGGER incident_gone AFTER DELETE ON incident
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION incident_count();
CREATE TRIGGER incident_changed AFTER UPDATE ON incident
    REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION incident_count();

-- The body of an incident that is gone may not be needed any more (0009).
CREATE FUNCTION incident_release() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO message_unused SELECT handover_id FROM gone ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER incident_released AFTER DELETE ON incident
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION incident_release();
