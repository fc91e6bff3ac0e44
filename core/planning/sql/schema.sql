-- The working tables of planning: each column, and what fills it. Each planning has a DuckDB database of its own, which
-- is deleted afterwards, so these tables need no migration.
--
-- core/planning/schema.py reads this file and creates the tables that Python fills. The statements of diff.sql and
-- batching.py create the others. They are here as documentation, and a test compares them with the actual tables.
--
-- A member_key is the mpid, `customer:` and the customer id, or `email:` and the email. The ledger also has `former:`
-- and an email, or a user id in userID-based projects (core/models/batch.py).

-- name: ledger
-- The rows of the ledger. Filled by workspace.load_ledger and ledger_lookup.load_relevant_ledger.
CREATE TABLE ledger (
    mapping_id BIGINT,
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_confirmed BOOLEAN         -- false: a request was sent and never answered, so the member may be on the list
);

-- name: desired
-- Who should be on the list. Filled by identity_mapping.map_members, replanner (the rest of a plan) and undo_planner.
CREATE TABLE desired (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_counted BOOLEAN           -- false: an earlier plan of the same run has counted the member
);

-- name: leavers
-- Who has left the audience. Filled like `desired`; in a mirror by diff.sql, with the members that the source lacks.
CREATE TABLE leavers (
    member_key VARCHAR,
    email VARCHAR,               -- the source's identity; if the ledger has another, that one is used
    user_id VARCHAR,
    is_counted BOOLEAN,
    reason VARCHAR               -- why the source's identity can't be used; NULL if it can
);

-- name: rejected
-- Members that can't be synced. Filled by identity_mapping, suppression and diff.sql.
CREATE TABLE rejected (
    member_key VARCHAR,          -- NULL: a person who asked to be erased
    email VARCHAR,
    customer_id VARCHAR,
    reason VARCHAR
);

-- name: last_known_emails
-- The last known emails of leavers with a user id only. Filled by last_known_emails.fill_last_known_emails.
CREATE TABLE last_known_emails (
    member_key VARCHAR,
    email VARCHAR
);

-- name: previous_plan
-- The ledger's rows that the run's first plan found, of members whose change is not sent yet. Filled by replanner.
CREATE TABLE previous_plan (
    member_key VARCHAR,
    in_ledger BOOLEAN,
    email VARCHAR,
    user_id VARCHAR,
    is_leaver BOOLEAN
);

-- name: data_fields
-- The data fields of members, if the mapping has any. Filled by data_fields.load_values and replanner.
CREATE TABLE data_fields (
    member_key VARCHAR,
    fields VARCHAR,              -- the JSON object that is sent
    digest VARCHAR               -- keyed, computed by diff.sql
);

-- name: ledger_digests
-- The digests of the data fields that were sent last, from the ledger. Filled by data_fields.load_digests.
CREATE TABLE ledger_digests (
    member_key VARCHAR,
    digest VARCHAR
);

-- name: changed_fields
-- Members whose data fields differ from those that were sent last. Created by diff.sql; empty if none are sent.
CREATE TABLE changed_fields (
    member_key VARCHAR
);

-- name: rejection_words
-- Members with a value that its data field can't take, and what is wrong. Filled by data_fields.load_values.
CREATE TABLE rejection_words (
    member_key VARCHAR,
    words VARCHAR
);

-- name: newer_changes
-- Members with a live change that is newer than what the source says of them. Filled by live_source.
CREATE TABLE newer_changes (
    member_key VARCHAR,
    is_member BOOLEAN,           -- whether the newer change added the member
    event_ms BIGINT,             -- when, by mParticle's time stamp
    in_source BOOLEAN,           -- whether the source has rows of the member, filled by core.sources
    row_ms BIGINT                -- their latest time stamp
);

-- name: applied_changes
-- The changes of the run that is undone, in order. Filled by applied_changes.load_applied_changes from its batches.
CREATE TABLE applied_changes (
    position BIGINT,             -- batch id and place in the batch
    kind VARCHAR,                -- on (the list), off, rename, or old (a former identity that was released)
    is_confirmed BOOLEAN,        -- false: sent and never answered
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    new_email VARCHAR,           -- of a rename
    decided_by VARCHAR,          -- if this member was rejected, the change was not made
    was_in_ledger BOOLEAN,       -- this and the next two: the ledger's row before the run
    previous_email VARCHAR,
    previous_user_id VARCHAR
);

-- name: rejected_by_undone_run
-- Members that the undone run rejected. Filled by applied_changes.load_applied_changes.
CREATE TABLE rejected_by_undone_run (
    member_key VARCHAR
);

-- name: reversals
-- What an undo does with each member that the undone run changed. Created by applied_changes.compute_reversals.
CREATE TABLE reversals (
    member_key VARCHAR,
    action VARCHAR,              -- on or off (the list), or none
    email VARCHAR,
    user_id VARCHAR
);

-- name: superseded
-- Members of an undo that is planned again, if their change is done or no longer wanted. Created by replanner.
CREATE TABLE superseded (
    member_key VARCHAR
);

-- name: erased_digests
-- Salted digests of erased identities (core/store/erasures.py). Filled by suppression.
CREATE TABLE erased_digests (
    digest VARCHAR
);

-- name: erased_in_source
-- Members of the source that asked to be erased. Filled by suppression.
CREATE TABLE erased_in_source (
    member_key VARCHAR
);

-- name: suppressed_digests
-- Salted digests of members that Iterable rejects for good (core/store/suppressions.py). Filled by suppression.
CREATE TABLE suppressed_digests (
    digest VARCHAR
);

-- name: suppressed_in_source
-- Members that are new to the list and that Iterable rejects for good. Created by suppression.
CREATE TABLE suppressed_in_source (
    member_key VARCHAR,
    email VARCHAR,
    customer_id VARCHAR
);

-- name: exclusion_digests
-- Keyed digests of the addresses that a mapping excludes. Filled by exclusions.load_exclusions, as the next two.
CREATE TABLE exclusion_digests (
    digest VARCHAR
);

-- name: exclusion_domains
CREATE TABLE exclusion_domains (
    domain VARCHAR
);

-- name: excluded_people
-- The people in the files and mappings that a mapping excludes. What is not known of them is NULL.
CREATE TABLE excluded_people (
    member_key VARCHAR,
    email VARCHAR,               -- in lower case
    user_id VARCHAR
);

-- name: excluded_domains
-- The domains in use that belong to an excluded domain. Created by exclusions.sql.
CREATE TABLE excluded_domains (
    domain VARCHAR
);

-- name: excluded_members
-- Members of `desired` who are kept off the list. Created by exclusions.sql.
CREATE TABLE excluded_members (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_counted BOOLEAN
);

-- name: irregular_members
-- Rows of the source that Python has to map, because DuckDB can't normalize them. Created by identity_mapping.
CREATE TABLE irregular_members (
    row_number BIGINT,
    profile VARCHAR,             -- as in `source`
    mpid BIGINT,
    email VARCHAR,
    customer_id VARCHAR,
    hashed BIGINT                -- bits of core.store.inbox: identities that are present only as hashes
);

-- name: people_on_list
-- The emails (or user ids) of the people on a list that the run takes over. Filled by adoption.
CREATE TABLE people_on_list (
    person VARCHAR
);

-- name: shared_keys
-- Hashes of the subscribers that several members of `desired` may be. Created by diff.sql.
CREATE TABLE shared_keys (
    key UBIGINT
);

-- name: shared_user_ids
-- Hashes of the user ids that several members have, in hybrid projects. Created by diff.sql.
CREATE TABLE shared_user_ids (
    key UBIGINT
);

-- name: joined
-- `desired` joined with the ledger. Created by diff.sql; a view if the ledger is empty. DuckDB leaves out the members
-- that are unchanged and have a subscriber of their own.
CREATE TABLE joined (
    member_key VARCHAR,
    email VARCHAR,               -- of the source
    user_id VARCHAR,
    is_counted BOOLEAN,
    in_source BOOLEAN,
    in_ledger BOOLEAN,
    ledger_email VARCHAR,        -- of the ledger
    ledger_user_id VARCHAR,
    is_confirmed BOOLEAN,        -- on the list for certain
    is_unchanged BOOLEAN,        -- on the list for certain, under exactly this identity
    is_known_by_mpid BOOLEAN,    -- in the ledger, the User ID is the mpid, and the project is email-based
    needs_rename BOOLEAN         -- had a placeholder email until now
);

-- name: duplicate_profiles
-- Members that map to the same subscriber as another member, which is sent for both. Created by diff.sql.
CREATE TABLE duplicate_profiles (
    member_key VARCHAR,
    primary_profile VARCHAR      -- the member_key of the member that is sent
);

-- name: duplicates_by_user_id
-- The same, in hybrid projects, for members that share a user id and no email. Made by diff.sql.
CREATE TABLE duplicates_by_user_id (
    member_key VARCHAR,
    primary_profile VARCHAR
);

-- name: on_list_by_other_mapping
-- Members that another mapping has added to the list, under exactly the identity of this run. Created by diff.sql.
CREATE TABLE on_list_by_other_mapping (
    member_key VARCHAR
);

-- name: classified
-- The outcome of each member of the source. Created by diff.sql; a view for large audiences.
CREATE TABLE classified (
    member_key VARCHAR,          -- the columns of `joined`
    email VARCHAR,
    user_id VARCHAR,
    is_counted BOOLEAN,
    in_source BOOLEAN,
    in_ledger BOOLEAN,
    ledger_email VARCHAR,
    ledger_user_id VARCHAR,
    is_confirmed BOOLEAN,
    is_unchanged BOOLEAN,
    is_known_by_mpid BOOLEAN,
    needs_rename BOOLEAN,
    primary_profile VARCHAR,     -- of a duplicate
    outcome VARCHAR              -- add, update, unchanged, duplicate, retained
);

-- name: known_leavers
-- Leavers that are in the ledger, under the ledger's identity. Created by diff.sql.
CREATE TABLE known_leavers (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_counted BOOLEAN
);

-- name: removal_candidates
-- Identities that may have to leave the list: of leavers, and former ones of members. Created by diff.sql.
CREATE TABLE removal_candidates (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_leaver BOOLEAN,           -- false: a former identity of a member that stays
    is_counted BOOLEAN,
    in_ledger BOOLEAN
);

-- name: retained_by
-- Who keeps such an identity on the list after all. Created by diff.sql.
CREATE TABLE retained_by (
    member_key VARCHAR,
    retaining_mapping BIGINT,    -- the smallest mapping id, and its smallest key
    retaining_key VARCHAR
);

-- name: unrecorded_duplicates
-- Duplicates that the ledger does not yet record as such. Created by batching.prepare, which also creates the views
-- `classified_with_previous`, `unrecorded_duplicates_with_previous` and `removals_with_previous`: the same rows, with
-- the values of `previous_plan` in place of those of the ledger.
CREATE TABLE unrecorded_duplicates (
    member_key VARCHAR,
    email VARCHAR,               -- of the primary profile, as the user id
    user_id VARCHAR,
    primary_profile VARCHAR,
    outcome VARCHAR,             -- of the primary profile
    in_ledger BOOLEAN,
    ledger_email VARCHAR,
    ledger_user_id VARCHAR
);

-- name: removals
-- Identities that leave the list: the rows of `removal_candidates` that nothing retains. Created by diff.sql.
CREATE TABLE removals (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_leaver BOOLEAN,
    is_counted BOOLEAN,
    in_ledger BOOLEAN,
    primary_profile VARCHAR,     -- the member_key of the row that is sent for this subscriber
    position BIGINT              -- among the rows of the same subscriber; 1 is the row that is sent
);

-- name: approved_changes
-- The changes that were approved before the run was planned again. Filled by approved_changes.load_approved_changes.
CREATE TABLE approved_changes (
    kind VARCHAR,                -- add, update, rename, remove; or duplicate: on the list together with another member
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR
);
