-- Times are microseconds since the Unix epoch, UTC. Ids are 13 hexadecimal characters; tables that grow long keep them
-- as the integer of the same digits (see db/ids.py). Role lists are interned: a row is told apart by its text alone.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE projects (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    team_id TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE platforms (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    hostname TEXT NOT NULL,
    store TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

CREATE TABLE keys (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX keys_secret ON keys (project_id, secret_hash);

CREATE TABLE webhooks (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    verify_tls INTEGER NOT NULL,
    http_user TEXT NOT NULL,
    http_password BLOB NOT NULL, -- encrypted with the server secret
    signature_secret BLOB NOT NULL, -- encrypted with the server secret
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

-- The key of users and memberships is the id alone: with the project in front of it, the planner would go through all
-- of a project rather than use the indexes.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    email_verified INTEGER NOT NULL,
    status INTEGER NOT NULL,
    password_hash TEXT NOT NULL,
    password_updated_at INTEGER NOT NULL,
    reset_required INTEGER NOT NULL,
    preferences TEXT NOT NULL,
    registered_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX users_project ON users (project_id, id);

-- Not unique: an anonymous user may take the address of a provider that another user has.
CREATE INDEX users_email ON users (project_id, email, id) WHERE email <> '';

CREATE TABLE sessions (
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    provider TEXT NOT NULL,
    provider_uid TEXT NOT NULL,
    provider_token BLOB NOT NULL, -- encrypted with the server secret
    ip TEXT NOT NULL,
    country_code TEXT NOT NULL,
    client TEXT NOT NULL,
    PRIMARY KEY (project_id, user_id, id)
) WITHOUT ROWID;

CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE tokens (
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL, -- 'recovery', 'verification' or 'magic-url'
    email TEXT NOT NULL, -- where the secret was sent
    secret_hash TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, id)
) WITHOUT ROWID;

CREATE INDEX tokens_expiry ON tokens (expires_at);

CREATE TABLE teams (
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    total INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

CREATE TABLE memberships (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    roles TEXT NOT NULL, -- a JSON array
    invited_at INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    secret_hash TEXT NOT NULL,
    invited_email TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX memberships_team ON memberships (project_id, team_id, id);
CREATE UNIQUE INDEX memberships_user ON memberships (project_id, user_id, team_id);

CREATE TABLE role_lists (
    id INTEGER PRIMARY KEY,
    roles TEXT NOT NULL UNIQUE -- a JSON array, order and duplicates kept
);

CREATE TABLE role_list_members (
    role TEXT NOT NULL,
    list_id INTEGER NOT NULL REFERENCES role_lists (id),
    PRIMARY KEY (role, list_id)
) WITHOUT ROWID;

CREATE TABLE collections (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    read_list INTEGER NOT NULL REFERENCES role_lists (id),
    write_list INTEGER NOT NULL REFERENCES role_lists (id),
    attributes TEXT NOT NULL,
    nested TEXT NOT NULL, -- a JSON array: the collections whose documents its documents may hold, or once might
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE INDEX collections_project ON collections (project_id);

CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL, -- no foreign key: documents of a deleted collection go in slices
    read_list INTEGER NOT NULL,
    write_list INTEGER NOT NULL,
    data TEXT NOT NULL
);

-- The row id follows in the first. Each gives a page in the order of creation without touching the table: the documents
-- of one read list, and all of a collection of which a caller sees many.
CREATE INDEX documents_visible ON documents (collection_id, read_list);
CREATE INDEX documents_collection ON documents (collection_id, id, read_list);

CREATE TABLE document_counts (
    collection_id INTEGER NOT NULL,
    read_list INTEGER NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (collection_id, read_list)
) WITHOUT ROWID;

-- What documents are filtered or sorted by. A row is an attribute in one form: text, number, date and so on.
CREATE TABLE indexed_fields (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    built_to INTEGER, -- documents up to this id have their values; NULL when all have
    is_multiple INTEGER NOT NULL, -- whether a document has, or had, more than one value
    UNIQUE (collection_id, path, kind)
);

-- One row a value, in the order of values; a document without one has the row of negative infinity.
CREATE TABLE field_values (
    field_id INTEGER NOT NULL,
    value NOT NULL,
    document_id INTEGER NOT NULL,
    read_list INTEGER NOT NULL,
    PRIMARY KEY (field_id, value, document_id)
) WITHOUT ROWID;

CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    bucket_id TEXT NOT NULL,
    read_list INTEGER NOT NULL REFERENCES role_lists (id),
    write_list INTEGER NOT NULL REFERENCES role_lists (id),
    name TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    signature TEXT NOT NULL,
    size INTEGER NOT NULL,
    blob_key TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- The first for counting what a caller may read, the second for going through a bucket in order; neither needs the table.
CREATE INDEX files_visible ON files (project_id, bucket_id, read_list);
CREATE INDEX files_order ON files (project_id, bucket_id, id, read_list);
-- Blobs are looked up here when those without a row are swept out.
CREATE UNIQUE INDEX files_blob ON files (blob_key);

CREATE TABLE functions (
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    execute TEXT NOT NULL,
    runtime TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    variables BLOB NOT NULL, -- encrypted with the server secret; empty for none
    events TEXT NOT NULL,
    schedule TEXT NOT NULL,
    schedule_next INTEGER NOT NULL,
    schedule_previous INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

CREATE INDEX functions_due ON functions (schedule_next) WHERE schedule_next > 0;

CREATE TABLE deployments (
    project_id TEXT NOT NULL,
    function_id TEXT NOT NULL,
    id TEXT NOT NULL,
    command TEXT NOT NULL,
    size INTEGER NOT NULL,
    blob_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, function_id, id)
) WITHOUT ROWID;

-- Blobs are looked up here when those without a row are swept out.
CREATE UNIQUE INDEX deployments_blob ON deployments (blob_key);

CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    function_id TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    user_id TEXT NOT NULL, -- who started it or caused its event; empty for nobody
    read_list INTEGER NOT NULL REFERENCES role_lists (id),
    trigger TEXT NOT NULL,
    status TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    stdout TEXT NOT NULL,
    stderr TEXT NOT NULL,
    duration REAL NOT NULL
);

-- The row id follows in all of them.
CREATE INDEX executions_function ON executions (function_id);
CREATE INDEX executions_visible ON executions (function_id, read_list);
CREATE INDEX executions_waiting ON executions (function_id) WHERE status = 'waiting';
CREATE INDEX executions_processing ON executions (status) WHERE status = 'processing';

-- What a waiting execution needs to start; the row goes when it starts.
CREATE TABLE execution_inputs (
    execution_id INTEGER PRIMARY KEY,
    data TEXT NOT NULL,
    session_id TEXT NOT NULL, -- of the session whose JWT the function gets; empty for none
    event TEXT NOT NULL,
    event_data BLOB NOT NULL -- encrypted with the server secret; empty for none
);

CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    user_agent TEXT NOT NULL UNIQUE
);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    event TEXT NOT NULL,
    resource TEXT NOT NULL,
    agent_id INTEGER NOT NULL REFERENCES agents (id),
    ip TEXT NOT NULL,
    data TEXT NOT NULL
);

CREATE INDEX audit_user ON audit (project_id, user_id, id) WHERE user_id <> '';

-- Events on their way to webhooks and functions, written in the transaction of the change they report. What was
-- delivered to a webhook, or has failed for good, stays for a while without its payload.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    target TEXT NOT NULL, -- 'webhook' or 'function'
    target_id TEXT NOT NULL,
    event TEXT NOT NULL,
    payload BLOB NOT NULL, -- encrypted with the server secret; empty for none
    user_id TEXT NOT NULL,
    state TEXT NOT NULL, -- 'waiting', 'delivered' or 'failed'
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL, -- of the next attempt; 0 before the first
    status INTEGER NOT NULL, -- HTTP status of the last answer; 0 for none
    error TEXT NOT NULL,
    ended_at INTEGER NOT NULL
);

-- The row id follows in all of them.
CREATE INDEX outbox_due ON outbox (target_id, due_at) WHERE state = 'waiting';
CREATE INDEX outbox_waiting ON outbox (target) WHERE state = 'waiting';
CREATE INDEX outbox_closed ON outbox (target_id) WHERE state <> 'waiting';

-- Ended executions by half hours, which outlive the executions themselves. `slot` is the Unix second a half hour begins.
CREATE TABLE function_usage (
    function_id TEXT NOT NULL,
    slot INTEGER NOT NULL,
    executions INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    PRIMARY KEY (function_id, slot)
) WITHOUT ROWID;

CREATE INDEX function_usage_slot ON function_usage (slot);

-- What is gone for callers and still has rows or blobs behind it, removed in slices.
CREATE TABLE removals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, -- 'project', 'collection', 'function', 'webhook', 'blob'
    project_id TEXT NOT NULL,
    key TEXT NOT NULL
);

-- One row a text value; rowid = id of the resource << 11 | number of the value. `scope` is one word per collection or
-- kind of resource, so that a search never leaves it. Results are not ranked, so the lengths of values are not kept.
CREATE VIRTUAL TABLE search USING fts5 (
    scope,
    value,
    content = '',
    columnsize = 0,
    tokenize = "unicode61 remove_diacritics 2 tokenchars '_'"
);

-- Mails on their way to the mail server, kept for who reads the outbox, or, without content, done.
CREATE TABLE mails (
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL, -- 'verification', 'recovery', 'magic-link' or 'invitation'
    recipient TEXT NOT NULL,
    content BLOB NOT NULL, -- encrypted with the server secret; empty once sent or failed
    state TEXT NOT NULL, -- 'kept', 'queued', 'sent' or 'failed'
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT NOT NULL,
    PRIMARY KEY (project_id, id)
);

CREATE INDEX mails_recipient ON mails (project_id, recipient, id);
CREATE INDEX mails_due ON mails (due_at) WHERE state = 'queued';
CREATE INDEX mails_queued ON mails (project_id) WHERE state = 'queued';
CREATE INDEX mails_expiry ON mails (created_at) WHERE state <> 'queued';

-- Which documents a document holds in its attributes. Links to and from documents of a deleted collection go in slices.
CREATE TABLE document_links (
    parent_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL, -- in the list of the attribute; -1 when the attribute holds a single document
    child_id INTEGER NOT NULL,
    PRIMARY KEY (parent_id, key, position)
) WITHOUT ROWID;

CREATE INDEX document_links_child ON document_links (child_id, key);

-- Who a user is at the providers of logins; it outlives the sessions.
CREATE TABLE identities (
    project_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    provider_uid TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (project_id, provider, provider_uid)
) WITHOUT ROWID;

CREATE INDEX identities_user ON identities (project_id, user_id);

-- Logins at providers that came back, until their state expires: each counts once.
CREATE TABLE finished_logins (
    id TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX finished_logins_expiry ON finished_logins (expires_at);
