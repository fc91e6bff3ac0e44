CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    );
CREATE TABLE pace (
    project TEXT NOT NULL,
    next_at FLOAT NOT NULL,
    slowdown FLOAT NOT NULL,
    throttled_at FLOAT, used_at TEXT,
    CONSTRAINT pace_pk PRIMARY KEY (project)
    );
CREATE TABLE workers (
    id TEXT NOT NULL,
    host TEXT NOT NULL,
    lock_path TEXT NOT NULL,
    heartbeat_at FLOAT NOT NULL,
    CONSTRAINT workers_pk PRIMARY KEY (id)
    );
CREATE TABLE lists (
    connection_id INTEGER NOT NULL,
    list_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    list_created_at BIGINT,
    revision BIGINT NOT NULL,
    held_by_run TEXT,
    held_by_worker TEXT,
    CONSTRAINT lists_pk PRIMARY KEY (connection_id, list_id),
    CONSTRAINT lists_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    );
CREATE TABLE mappings (
    id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    list_id BIGINT NOT NULL,
    audience_id TEXT,
    audience_name TEXT,
    mode TEXT NOT NULL,
    created_at FLOAT NOT NULL, state TEXT DEFAULT 'active' NOT NULL, removals TEXT DEFAULT 'remove' NOT NULL, channel TEXT, proposed_by TEXT, decided_by TEXT, decided_at FLOAT, comment TEXT, live BOOLEAN DEFAULT 0 NOT NULL, account_id TEXT, live_list TEXT, disconnected_at FLOAT, removals_until FLOAT, emptied_to TEXT, max_added BIGINT, max_added_share FLOAT, live_offer TEXT, project_type TEXT, freeze_before_s FLOAT, freeze_holds TEXT DEFAULT 'both' NOT NULL, fields TEXT DEFAULT '{}' NOT NULL, fields_before TEXT, max_removed_share FLOAT, name TEXT, delete_at FLOAT, exclusions TEXT DEFAULT '[]' NOT NULL, change_before TEXT, operators TEXT DEFAULT '[]' NOT NULL, approvers TEXT DEFAULT '[]' NOT NULL, managed TEXT, replaces BIGINT,
    CONSTRAINT mappings_pk PRIMARY KEY (id),
    CONSTRAINT mappings_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    );
CREATE INDEX mappings_connection_id_list_id_ix ON mappings (connection_id, list_id);
CREATE TABLE ledger (
    mapping_id INTEGER NOT NULL,
    profile TEXT NOT NULL,
    email TEXT,
    user_id TEXT,
    certain BOOLEAN NOT NULL, fields TEXT,
    CONSTRAINT ledger_pk PRIMARY KEY (mapping_id, profile),
    CONSTRAINT ledger_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    )
    WITHOUT ROWID;
CREATE TABLE runs (
    id TEXT NOT NULL,
    mapping_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    list_id BIGINT NOT NULL,
    status TEXT NOT NULL,
    phase TEXT NOT NULL,
    mode TEXT NOT NULL,
    user_id TEXT NOT NULL,
    rate FLOAT NOT NULL,
    audience TEXT,
    request TEXT NOT NULL,
    "plan" TEXT,
    revision BIGINT,
    attempt INTEGER NOT NULL,
    worker TEXT,
    stop TEXT,
    members BIGINT NOT NULL,
    "left" BIGINT NOT NULL,
    added BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    removed BIGINT NOT NULL,
    unchanged BIGINT NOT NULL,
    duplicates BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    retries BIGINT NOT NULL,
    throttled BIGINT NOT NULL,
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    finished_at FLOAT,
    error TEXT,
    error_code TEXT, started_by TEXT, channel TEXT, decided_by TEXT, decided_at FLOAT, comment TEXT, undo_of TEXT, list_size BIGINT, live BOOLEAN DEFAULT 0 NOT NULL, waited_s FLOAT DEFAULT '0' NOT NULL, waiting_for_run_id TEXT, cancel_reason TEXT, plan_digest TEXT, approved_digest TEXT, shown_digest TEXT, discarded_plan TEXT, source_digest TEXT, source_at FLOAT, project_type TEXT, column_candidates TEXT, purged BOOLEAN DEFAULT 0 NOT NULL, merged BIGINT DEFAULT '0' NOT NULL, retry_at FLOAT, auto_retries INTEGER DEFAULT '0' NOT NULL, log_due BOOLEAN DEFAULT 0 NOT NULL,
    CONSTRAINT runs_pk PRIMARY KEY (id),
    CONSTRAINT runs_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    );
CREATE INDEX runs_connection_id_list_id_created_at_ix ON runs (connection_id, list_id, created_at);
CREATE INDEX runs_status_ix ON runs (status);
CREATE TABLE batches (
    id INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    phase INTEGER NOT NULL,
    size INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    state TEXT NOT NULL, doubted_of TEXT, doubted_until FLOAT, done_at FLOAT,
    CONSTRAINT batches_pk PRIMARY KEY (id),
    CONSTRAINT batches_run_id_fk FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
    );
CREATE INDEX batches_run_id_phase_state_ix ON batches (run_id, phase, state);
CREATE TABLE rejections (
    id INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    profile TEXT,
    email TEXT,
    customer_id TEXT,
    reason TEXT NOT NULL, words TEXT,
    CONSTRAINT rejections_pk PRIMARY KEY (id),
    CONSTRAINT rejections_run_id_fk FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
    );
CREATE INDEX rejections_run_id_ix ON rejections (run_id);
CREATE TABLE changes (
    batch_id INTEGER NOT NULL,
    members TEXT NOT NULL,
    CONSTRAINT changes_pk PRIMARY KEY (batch_id),
    CONSTRAINT changes_batch_id_fk FOREIGN KEY(batch_id) REFERENCES batches (id) ON DELETE CASCADE
    );
CREATE TABLE posts (
    "key" TEXT NOT NULL,
    team_id TEXT,
    target TEXT NOT NULL,
    channel TEXT,
    ts TEXT,
    stage TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER DEFAULT '0' NOT NULL,
    next_at FLOAT DEFAULT '0' NOT NULL,
    updated_at FLOAT NOT NULL,
    error TEXT,
    CONSTRAINT posts_pk PRIMARY KEY ("key")
    );
CREATE TABLE alerts (
    id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    mapping_id INTEGER,
    run_id TEXT,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    repeats INTEGER DEFAULT '0' NOT NULL,
    opened_at FLOAT NOT NULL,
    closed_at FLOAT,
    outcome TEXT,
    taken_by TEXT,
    muted_until FLOAT, show_at FLOAT DEFAULT '0' NOT NULL,
    CONSTRAINT alerts_pk PRIMARY KEY (id),
    CONSTRAINT alerts_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE,
    CONSTRAINT alerts_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    );
CREATE INDEX alerts_connection_id_mapping_id_ix ON alerts (connection_id, mapping_id);
CREATE TABLE audit (
    id INTEGER NOT NULL,
    at FLOAT NOT NULL,
    team_id TEXT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    "before" TEXT,
    "after" TEXT,
    CONSTRAINT audit_pk PRIMARY KEY (id)
    );
CREATE INDEX audit_subject_ix ON audit (subject);
CREATE TABLE leases (
    name TEXT NOT NULL,
    worker TEXT NOT NULL,
    CONSTRAINT leases_pk PRIMARY KEY (name)
    );
CREATE UNIQUE INDEX mappings_account_id_audience_id_live_list_ix ON mappings (account_id, audience_id, live_list);
CREATE INDEX runs_live_ix ON runs (live);
CREATE TABLE inbox (
    mapping_id INTEGER NOT NULL,
    profile TEXT NOT NULL,
    member BOOLEAN NOT NULL,
    stamp BIGINT NOT NULL,
    email TEXT,
    customer_id TEXT,
    hashed INTEGER NOT NULL,
    waiting_since FLOAT,
    run_id TEXT, fields TEXT,
    CONSTRAINT inbox_pk PRIMARY KEY (mapping_id, profile),
    CONSTRAINT inbox_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    )
    WITHOUT ROWID;
CREATE INDEX inbox_mapping_id_waiting_since_stamp_ix ON inbox (mapping_id, waiting_since, stamp);
CREATE TABLE messages (
    id TEXT NOT NULL,
    at FLOAT NOT NULL,
    CONSTRAINT messages_pk PRIMARY KEY (id)
    )
    WITHOUT ROWID;
CREATE INDEX messages_at_ix ON messages (at);
CREATE TABLE live_days (
    mapping_id INTEGER NOT NULL,
    day TEXT NOT NULL,
    changes BIGINT DEFAULT '0' NOT NULL,
    ignored BIGINT DEFAULT '0' NOT NULL,
    last_accepted_at FLOAT,
    run_id TEXT, last_received_at FLOAT, longest_silence_s FLOAT, size_read_at FLOAT,
    CONSTRAINT live_days_pk PRIMARY KEY (mapping_id, day),
    CONSTRAINT live_days_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    )
    WITHOUT ROWID;
CREATE TABLE erasures (
    id TEXT NOT NULL,
    identities BLOB NOT NULL,
    at FLOAT NOT NULL,
    counts TEXT DEFAULT '{}' NOT NULL, account_id TEXT,
    CONSTRAINT erasures_pk PRIMARY KEY (id)
    );
CREATE TABLE salts (
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    CONSTRAINT salts_pk PRIMARY KEY (name)
    );
CREATE TABLE barred (
    connection_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    CONSTRAINT barred_pk PRIMARY KEY (connection_id, digest),
    CONSTRAINT barred_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    )
    WITHOUT ROWID;
CREATE TABLE last_known (
    mapping_id INTEGER NOT NULL,
    profile TEXT NOT NULL,
    email TEXT NOT NULL,
    at FLOAT NOT NULL,
    CONSTRAINT last_known_pk PRIMARY KEY (mapping_id, profile),
    CONSTRAINT last_known_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    )
    WITHOUT ROWID;
CREATE INDEX last_known_at_ix ON last_known (at);
CREATE TABLE "connections" (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    api_key BLOB,
    key_last4 TEXT NOT NULL,
    project TEXT NOT NULL,
    data_center TEXT NOT NULL,
    user_id TEXT NOT NULL,
    rate FLOAT NOT NULL,
    refused_at FLOAT,
    created_at FLOAT NOT NULL,
    team_id TEXT,
    alert_channel TEXT,
    operators TEXT DEFAULT '[]' NOT NULL,
    approvers TEXT DEFAULT '[]' NOT NULL,
    self_approval BOOLEAN DEFAULT 0 NOT NULL,
    mparticle_account TEXT,
    mparticle_settings TEXT,
    former_keys TEXT DEFAULT '[]' NOT NULL,
    uninstalled_at FLOAT, project_type TEXT, campaigns_due_at FLOAT DEFAULT '0' NOT NULL, merge_profiles BOOLEAN DEFAULT 0 NOT NULL, managed TEXT,
    CONSTRAINT connections_pk PRIMARY KEY (id)
    );
CREATE UNIQUE INDEX connections_team_id_name_ix ON connections (team_id, name);
CREATE UNIQUE INDEX connections_name_ix ON connections (name) WHERE team_id IS NULL;
CREATE TABLE erased (
    account_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    stamp BIGINT NOT NULL,
    CONSTRAINT erased_pk PRIMARY KEY (account_id, digest)
    )
    WITHOUT ROWID;
CREATE INDEX batches_doubted_until_ix ON batches (doubted_until) WHERE doubted_until IS NOT NULL;
CREATE INDEX runs_created_at_ix ON runs (created_at);
CREATE INDEX runs_mapping_id_created_at_ix ON runs (mapping_id, created_at);
CREATE INDEX runs_finished_at_ix ON runs (finished_at) WHERE purged = 0;
CREATE TABLE mparticle_accounts (
    connection_id INTEGER NOT NULL,
    pod TEXT NOT NULL,
    account_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    client_secret BLOB NOT NULL,
    created_at FLOAT NOT NULL,
    refused_at FLOAT,
    CONSTRAINT mparticle_accounts_pk PRIMARY KEY (connection_id),
    CONSTRAINT mparticle_accounts_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    );
CREATE TABLE freezes (
    id INTEGER NOT NULL,
    mapping_id INTEGER,
    team_id TEXT,
    holds TEXT NOT NULL,
    until FLOAT NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    CONSTRAINT freezes_pk PRIMARY KEY (id),
    CONSTRAINT freezes_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    );
CREATE INDEX freezes_mapping_id_ix ON freezes (mapping_id);
CREATE TABLE list_campaigns (
    connection_id INTEGER NOT NULL,
    list_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    is_suppression BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    start_at FLOAT,
    CONSTRAINT list_campaigns_pk PRIMARY KEY (connection_id, list_id, campaign_id),
    CONSTRAINT list_campaigns_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    );
CREATE TABLE api_tokens (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    team_id TEXT,
    digest TEXT NOT NULL,
    last4 TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    last_used_at FLOAT,
    revoked_at FLOAT,
    PRIMARY KEY (id),
    CONSTRAINT api_tokens_digest_uq UNIQUE (digest)
    );
CREATE TABLE idempotency_keys (
    token_id INTEGER NOT NULL,
    "key" TEXT NOT NULL,
    digest TEXT NOT NULL,
    run_id TEXT NOT NULL,
    at FLOAT NOT NULL,
    PRIMARY KEY (token_id, "key"),
    FOREIGN KEY(token_id) REFERENCES api_tokens (id) ON DELETE CASCADE
    );
CREATE INDEX runs_retry_at_ix ON runs (retry_at) WHERE retry_at IS NOT NULL;
CREATE TABLE schedules (
    id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    mapping_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    cron TEXT,
    time_zone TEXT NOT NULL,
    after_mapping_id INTEGER,
    missed TEXT DEFAULT 'once' NOT NULL,
    quiet_from TEXT,
    quiet_to TEXT,
    next_due_at FLOAT,
    last_fired_at FLOAT,
    paused BOOLEAN DEFAULT 0 NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL, managed TEXT,
    CONSTRAINT schedules_pk PRIMARY KEY (id),
    CONSTRAINT schedules_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE,
    CONSTRAINT schedules_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE,
    CONSTRAINT schedules_after_mapping_id_fk FOREIGN KEY(after_mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    );
CREATE UNIQUE INDEX schedules_connection_id_name_ix ON schedules (connection_id, name);
CREATE INDEX schedules_mapping_id_ix ON schedules (mapping_id);
CREATE INDEX schedules_after_mapping_id_ix ON schedules (after_mapping_id);
CREATE INDEX schedules_next_due_at_ix ON schedules (next_due_at);
CREATE TABLE sources (
    mapping_id INTEGER NOT NULL,
    address TEXT NOT NULL,
    sealed TEXT,
    columns TEXT DEFAULT '{}' NOT NULL,
    sheet TEXT,
    archive TEXT,
    existing TEXT DEFAULT 'newest' NOT NULL,
    set_by TEXT NOT NULL,
    team_id TEXT,
    look_at FLOAT,
    look_by TEXT,
    looked_at FLOAT,
    failures INTEGER DEFAULT '0' NOT NULL,
    error_code TEXT,
    CONSTRAINT sources_pk PRIMARY KEY (mapping_id),
    CONSTRAINT sources_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    );
CREATE INDEX sources_look_at_ix ON sources (look_at);
CREATE TABLE source_files (
    id INTEGER NOT NULL,
    mapping_id INTEGER NOT NULL,
    address TEXT NOT NULL,
    size BIGINT NOT NULL,
    tag TEXT NOT NULL,
    at FLOAT NOT NULL,
    seen_at FLOAT NOT NULL,
    unchanged_since FLOAT NOT NULL,
    status TEXT NOT NULL,
    digest TEXT,
    run_id TEXT,
    CONSTRAINT source_files_pk PRIMARY KEY (id),
    CONSTRAINT source_files_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    );
CREATE UNIQUE INDEX source_files_mapping_id_address_ix ON source_files (mapping_id, address);
CREATE TABLE change_fields (
    batch_id INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    CONSTRAINT change_fields_pk PRIMARY KEY (batch_id),
    CONSTRAINT change_fields_batch_id_fk FOREIGN KEY(batch_id) REFERENCES batches (id) ON DELETE CASCADE
    );
CREATE TABLE list_checks (
    connection_id INTEGER NOT NULL,
    list_id BIGINT NOT NULL,
    due_at FLOAT NOT NULL,
    checked_at FLOAT,
    matched_at FLOAT,
    ours BIGINT,
    in_iterable BIGINT,
    in_mparticle BIGINT,
    missing BIGINT,
    extra BIGINT,
    sampled INTEGER DEFAULT '0' NOT NULL,
    others BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT list_checks_pk PRIMARY KEY (connection_id, list_id),
    CONSTRAINT list_checks_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    );
CREATE INDEX list_checks_due_at_ix ON list_checks (due_at);
CREATE TABLE routes (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    team_id TEXT,
    connection_id INTEGER,
    events TEXT NOT NULL,
    fallback BOOLEAN DEFAULT 0 NOT NULL,
    target TEXT NOT NULL,
    sealed BLOB,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL, managed TEXT,
    CONSTRAINT routes_pk PRIMARY KEY (id),
    CONSTRAINT routes_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    );
CREATE UNIQUE INDEX routes_name_ix ON routes (name);
CREATE INDEX routes_connection_id_ix ON routes (connection_id);
CREATE TABLE deliveries (
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    route_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    event TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    next_at FLOAT,
    expires_at FLOAT NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    status_code INTEGER,
    error TEXT,
    delivered_at FLOAT,
    subject TEXT NOT NULL,
    alert_id INTEGER,
    replayed BOOLEAN DEFAULT 0 NOT NULL,
    CONSTRAINT deliveries_pk PRIMARY KEY (number),
    CONSTRAINT deliveries_id_uq UNIQUE (id),
    CONSTRAINT deliveries_route_id_fk FOREIGN KEY(route_id) REFERENCES routes (id) ON DELETE CASCADE
    );
CREATE INDEX deliveries_next_at_ix ON deliveries (next_at);
CREATE INDEX deliveries_route_id_subject_ix ON deliveries (route_id, subject);
CREATE INDEX deliveries_alert_id_ix ON deliveries (alert_id);
CREATE INDEX deliveries_created_at_ix ON deliveries (created_at);
CREATE INDEX runs_log_due_ix ON runs (log_due) WHERE log_due;
CREATE TABLE run_log (
    id INTEGER NOT NULL,
    address TEXT NOT NULL,
    sealed BLOB NOT NULL,
    identifiers TEXT NOT NULL,
    set_by TEXT NOT NULL,
    set_at FLOAT NOT NULL,
    next_at FLOAT NOT NULL,
    written_at FLOAT,
    failures INTEGER DEFAULT '0' NOT NULL,
    failing_since FLOAT,
    error TEXT,
    CONSTRAINT run_log_pk PRIMARY KEY (id)
    );
CREATE TABLE alert_rules (
    id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    mapping_id INTEGER,
    rule TEXT NOT NULL,
    is_on BOOLEAN NOT NULL,
    threshold FLOAT,
    changed_by TEXT NOT NULL,
    changed_at FLOAT NOT NULL,
    CONSTRAINT alert_rules_pk PRIMARY KEY (id),
    CONSTRAINT alert_rules_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE,
    CONSTRAINT alert_rules_mapping_id_fk FOREIGN KEY(mapping_id) REFERENCES mappings (id) ON DELETE CASCADE
    );
CREATE INDEX alert_rules_connection_id_mapping_id_ix ON alert_rules (connection_id, mapping_id);
CREATE INDEX alert_rules_mapping_id_ix ON alert_rules (mapping_id);
CREATE TABLE report_settings (
    connection_id INTEGER NOT NULL,
    time_zone TEXT NOT NULL,
    weekly BOOLEAN NOT NULL,
    weekday INTEGER NOT NULL,
    daily BOOLEAN NOT NULL,
    at TEXT NOT NULL,
    channel TEXT,
    next_weekly_at FLOAT,
    next_daily_at FLOAT,
    CONSTRAINT report_settings_pk PRIMARY KEY (connection_id),
    CONSTRAINT report_settings_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    );
CREATE TABLE reports (
    id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    made_at FLOAT NOT NULL,
    channel TEXT,
    content TEXT NOT NULL,
    CONSTRAINT reports_pk PRIMARY KEY (id),
    CONSTRAINT reports_connection_id_fk FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE
    );
CREATE INDEX reports_connection_id_ix ON reports (connection_id);
CREATE INDEX reports_made_at_ix ON reports (made_at);
CREATE INDEX batches_sent_ix ON batches (run_id) WHERE state = 'sent';
CREATE INDEX inbox_run_id_ix ON inbox (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX runs_frozen_ix ON runs (mapping_id) WHERE phase = 'frozen';
CREATE INDEX runs_undo_of_ix ON runs (undo_of) WHERE undo_of IS NOT NULL;
CREATE INDEX lists_held_by_worker_ix ON lists (held_by_worker) WHERE held_by_worker IS NOT NULL;
CREATE INDEX mappings_live_ix ON mappings (id) WHERE live = 1;
CREATE TABLE deleted_runs (
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (name)
    );
INSERT INTO alembic_version VALUES ('0042');
