-- The working tables of planning: each column, and what fills it. A planning has a DuckDB database of its own, which is
-- thrown away afterwards, so these tables need no migration.
--
-- core/planning/schema.py reads this file. The tables that Python fills are made of it; those that a statement of
-- diff.sql or batching.py makes are here for the reader, and a test compares them with what the statement makes.
--
-- A member_key is the mpid, or `customer:` and the customer id, or `email:` and the email, or in the ledger `former:`
-- and an email (core/models/batch.py).

-- name: ledger
-- Who the ledger says is on the list. Filled by workspace.load_ledger and ledger_lookup.load_relevant_ledger.
CREATE TABLE ledger (
    mapping_id BIGINT,
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_confirmed BOOLEAN         -- false: a request was sent and never answered, so perhaps on the list
);

-- name: desired
-- Who is to be on the list. Filled by identity_mapping.map_members, replanner (what is left of a plan), undo_planner.
CREATE TABLE desired (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_counted BOOLEAN           -- false: an earlier plan of the same run has counted the member
);

-- name: leavers
-- Who has left the audience. Filled as `desired`, and in a mirror by diff.sql with those who are not in the source.
CREATE TABLE leavers (
    member_key VARCHAR,
    email VARCHAR,               -- the identity that the source gives; the ledger's goes first
    user_id VARCHAR,
    is_counted BOOLEAN,
    reason VARCHAR               -- why the source's identity can't be used; NULL if it can
);

-- name: rejected
-- Members that can't be synced. Filled by identity_mapping, suppression and diff.sql.
CREATE TABLE rejected (
    member_key VARCHAR,          -- NULL: of a person who asked to be erased
    email VARCHAR,
    customer_id VARCHAR,
    reason VARCHAR
);

-- name: last_known_emails
-- The last known email of leavers that carry only a user id. Filled by last_known_emails.fill_last_known_emails.
CREATE TABLE last_known_emails (
    member_key VARCHAR,
    email VARCHAR
);

-- name: previous_plan
-- What the first plan of the run found in the ledger, for members whose change is not sent yet. Filled by replanner.
CREATE TABLE previous_plan (
    member_key VARCHAR,
    in_ledger BOOLEAN,
    email VARCHAR,
    user_id VARCHAR,
    is_leaver BOOLEAN
);

-- name: newer_changes
-- Members with a live change that is newer than the source. Filled by live_source.
CREATE TABLE newer_changes (
    member_key VARCHAR,
    is_member BOOLEAN            -- whether the newer change put the member on the list
);

-- name: applied_changes
-- What the run that is undone did, in order. Filled by applied_changes.load_applied_changes from its stored batches.
CREATE TABLE applied_changes (
    position BIGINT,             -- batch id and place in the batch
    kind VARCHAR,                -- on (the list), off, rename, or old (a former identity that was released)
    is_confirmed BOOLEAN,        -- false: sent, and the answer never seen
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    new_email VARCHAR,           -- of a rename
    decided_by VARCHAR,          -- the member whose rejection says that this was not done
    was_in_ledger BOOLEAN,       -- these three: what the ledger said before the run
    previous_email VARCHAR,
    previous_user_id VARCHAR
);

-- name: rejected_by_undone_run
-- Members that the undone run could not sync. Filled by applied_changes.load_applied_changes.
CREATE TABLE rejected_by_undone_run (
    member_key VARCHAR
);

-- name: reversals
-- What an undo does to each member that the undone run touched. Made by applied_changes.compute_reversals.
CREATE TABLE reversals (
    member_key VARCHAR,
    action VARCHAR,              -- on or off (the list), or none
    email VARCHAR,
    user_id VARCHAR
);

-- name: superseded
-- Members of an undo that is planned again, whose change is done or no longer wanted. Made by replanner.
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
-- Members that are new to the list and that Iterable rejects for good. Made by suppression.
CREATE TABLE suppressed_in_source (
    member_key VARCHAR,
    email VARCHAR,
    customer_id VARCHAR
);

-- name: irregular_members
-- Rows of the source that pass through Python, because they are not yet as they would be sent. Made by identity_mapping.
CREATE TABLE irregular_members (
    row_number BIGINT,
    profile VARCHAR,             -- as in `source`
    mpid BIGINT,
    email VARCHAR,
    customer_id VARCHAR,
    hashed BIGINT                -- bits of core.store.inbox: identities that are present only as hashes
);

-- name: joined
-- `desired` and the ledger side by side. Made by diff.sql; a view if the ledger is empty.
CREATE TABLE joined (
    member_key VARCHAR,
    email VARCHAR,               -- what the source says
    user_id VARCHAR,
    is_counted BOOLEAN,
    in_source BOOLEAN,
    in_ledger BOOLEAN,
    ledger_email VARCHAR,        -- what the ledger says
    ledger_user_id VARCHAR,
    is_confirmed BOOLEAN,        -- on the list for certain
    is_unchanged BOOLEAN,        -- on the list for certain, under this very identity
    is_known_by_mpid BOOLEAN,    -- in the ledger, and the User ID is the mpid
    needs_rename BOOLEAN         -- had a placeholder email until now
);

-- name: duplicate_profiles
-- Members that share a subscriber with another one, which stands for both. Made by diff.sql.
CREATE TABLE duplicate_profiles (
    member_key VARCHAR,
    primary_profile VARCHAR      -- the member_key of the member that is sent
);

-- name: on_list_by_other_mapping
-- Subscribers of this run that another mapping has put on the list, under the same user id. Made by diff.sql.
CREATE TABLE on_list_by_other_mapping (
    email VARCHAR
);

-- name: classified
-- What becomes of each member of the source. Made by diff.sql; a view for large audiences.
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
-- Leavers that the ledger knows, under the identity that it has. Made by diff.sql.
CREATE TABLE known_leavers (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_counted BOOLEAN
);

-- name: removal_candidates
-- Identities that may have to leave the list: of leavers, and former ones of members. Made by diff.sql.
CREATE TABLE removal_candidates (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_leaver BOOLEAN,           -- false: a former identity of a member that stays
    is_counted BOOLEAN,
    in_ledger BOOLEAN
);

-- name: retained_by
-- Who keeps such an identity on the list all the same. Made by diff.sql.
CREATE TABLE retained_by (
    member_key VARCHAR,
    retaining_row STRUCT(mapping_id BIGINT, member_key VARCHAR)
);

-- name: unrecorded_duplicates
-- Duplicates that the ledger does not know yet as what they are. Made by batching.prepare, which also makes the views
-- `classified_with_previous`, `unrecorded_duplicates_with_previous` and `removals_with_previous`: the same rows, with
-- what `previous_plan` says in place of what the ledger says.
CREATE TABLE unrecorded_duplicates (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,             -- of the primary profile
    primary_profile VARCHAR,
    outcome VARCHAR,             -- of the primary profile
    in_ledger BOOLEAN,
    ledger_email VARCHAR,
    ledger_user_id VARCHAR
);

-- name: removals
-- Identities that leave the list: those of `removal_candidates` that nothing retains. Made by diff.sql.
CREATE TABLE removals (
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR,
    is_leaver BOOLEAN,
    is_counted BOOLEAN,
    in_ledger BOOLEAN,
    primary_profile VARCHAR,     -- of those with the same subscriber the one that is sent
    position BIGINT              -- among those with the same subscriber; 1 is the one that is sent
);

-- name: approved_changes
-- What a person approved before the run was planned again. Filled by approved_changes.load_approved_changes.
CREATE TABLE approved_changes (
    kind VARCHAR,                -- add, update, rename, remove; or duplicate: on the list together with another member
    member_key VARCHAR,
    email VARCHAR,
    user_id VARCHAR
);
