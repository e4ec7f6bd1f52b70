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

CREATE TABLE users (
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    email_verified INTEGER NOT NULL,
    status INTEGER NOT NULL,
    password_hash TEXT NOT NULL,
    password_updated_at INTEGER NOT NULL,
    reset_required INTEGER NOT NULL,
    preferences TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

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
    kind TEXT NOT NULL,
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
    project_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    roles TEXT NOT NULL,
    invited_at INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    secret_hash TEXT NOT NULL,
    PRIMARY KEY (project_id, team_id, id)
) WITHOUT ROWID;

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

-- The row id follows in both, so each gives a page in creation order and a count without touching the table.
CREATE INDEX documents_visible ON documents (collection_id, read_list);
CREATE INDEX documents_collection ON documents (collection_id);

CREATE TABLE document_counts (
    collection_id INTEGER NOT NULL,
    read_list INTEGER NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (collection_id, read_list)
) WITHOUT ROWID;

CREATE TABLE files (
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    bucket_id TEXT NOT NULL,
    read_list INTEGER NOT NULL REFERENCES role_lists (id),
    write_list INTEGER NOT NULL REFERENCES role_lists (id),
    name TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    signature TEXT NOT NULL,
    size INTEGER NOT NULL,
    blob_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

CREATE INDEX files_visible ON files (project_id, read_list, id);

CREATE TABLE functions (
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    execute TEXT NOT NULL,
    runtime TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    variables BLOB NOT NULL, -- encrypted with the server secret
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

CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    function_id TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    read_list INTEGER NOT NULL REFERENCES role_lists (id),
    trigger TEXT NOT NULL,
    status TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    stdout TEXT NOT NULL,
    stderr TEXT NOT NULL,
    duration REAL NOT NULL
);

CREATE INDEX executions_visible ON executions (project_id, function_id, read_list);
CREATE INDEX executions_open ON executions (status) WHERE status IN ('waiting', 'processing');

-- What a waiting execution needs to start; the row goes when it starts.
CREATE TABLE execution_inputs (
    execution_id INTEGER PRIMARY KEY,
    data TEXT NOT NULL,
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL, -- of the session whose JWT the function gets; empty for none
    event TEXT NOT NULL,
    event_data BLOB NOT NULL -- encrypted with the server secret
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

-- Events on their way to webhooks and functions, written in the transaction of the change they report.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL,
    target TEXT NOT NULL, -- 'webhook' or 'function'
    target_id TEXT NOT NULL,
    event TEXT NOT NULL,
    payload BLOB NOT NULL, -- encrypted with the server secret
    user_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE INDEX outbox_due ON outbox (target, due_at);

-- What is gone for callers and still has rows or blobs behind it, removed in slices.
CREATE TABLE removals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, -- 'project', 'collection', 'function', 'blob'
    project_id TEXT NOT NULL,
    key TEXT NOT NULL
);

-- One row a text value; rowid = id of the resource << 11 | number of the value. `scope` is one word per collection or
-- kind of resource, so that a search never leaves it.
CREATE VIRTUAL TABLE search USING fts5 (
    scope,
    value,
    content = '',
    tokenize = "unicode61 remove_diacritics 2 tokenchars '_'"
);
