-- The statements of core/planning/diff.py, in the order in which they are executed. schema.sql describes the tables.

-- What a subscriber is depends on the type of the Iterable project. Each of the next three statements defines
--
--   subscriber_key        the identifier by which subscribers are compared (in hybrid projects the first of two)
--   is_other_subscriber   whether two identities are two subscribers (NULL: not known)
--   is_other_identity     whether something of two identities differs that Iterable would have to learn
--   is_kept_by_user_id    whether a removal candidate of this email is also kept on the list by its user id
--   former_key            what follows `former:` in the key of a former identity
--   last_identity_email   the email under which a row of the ledger is on the list (an interrupted rename that is not
--                         tried again, because the User ID setting has changed, leaves the placeholder)
--   email_identifies      whether two rows with the same email are the same person

-- name: use_email_based_project
CREATE MACRO subscriber_key(email, user_id) AS email;
CREATE MACRO is_other_subscriber(ledger_email, ledger_user_id, email, user_id) AS ledger_email <> email;
CREATE MACRO is_other_identity(ledger_email, ledger_user_id, email, user_id) AS ledger_email <> email;
CREATE MACRO is_kept_by_user_id(email) AS email IS NULL;
CREATE MACRO former_key(email, user_id) AS email;
CREATE MACRO last_identity_email(member_key, email, user_id, is_confirmed, placeholder) AS
    coalesce(email, if(NOT is_confirmed AND user_id = member_key, placeholder, NULL));
CREATE MACRO email_identifies() AS true;

-- name: use_user_id_based_project
CREATE MACRO subscriber_key(email, user_id) AS user_id;
CREATE MACRO is_other_subscriber(ledger_email, ledger_user_id, email, user_id) AS ledger_user_id <> user_id;
CREATE MACRO is_other_identity(ledger_email, ledger_user_id, email, user_id) AS
    ledger_user_id <> user_id OR ledger_email <> email;
CREATE MACRO is_kept_by_user_id(email) AS false;
CREATE MACRO former_key(email, user_id) AS user_id;
CREATE MACRO last_identity_email(member_key, email, user_id, is_confirmed, placeholder) AS email;
CREATE MACRO email_identifies() AS false;

-- name: use_hybrid_project
-- Emails and user ids are unique: with either in common, two identities are one subscriber.
CREATE MACRO subscriber_key(email, user_id) AS email;
CREATE MACRO is_other_subscriber(ledger_email, ledger_user_id, email, user_id) AS
    NOT (coalesce(ledger_email = email, false) OR coalesce(ledger_user_id = user_id, false));
CREATE MACRO is_other_identity(ledger_email, ledger_user_id, email, user_id) AS
    ledger_user_id <> user_id OR ledger_email <> email;
CREATE MACRO is_kept_by_user_id(email) AS true;
CREATE MACRO former_key(email, user_id) AS coalesce(email, user_id);
CREATE MACRO last_identity_email(member_key, email, user_id, is_confirmed, placeholder) AS email;
CREATE MACRO email_identifies() AS true;

-- name: any_key_without_mpid
-- Sources without mpids identify members by customer id or email only.
SELECT count(*) > 0 FROM (SELECT member_key FROM desired UNION ALL SELECT member_key FROM leavers)
WHERE starts_with(member_key, 'customer:') OR starts_with(member_key, 'email:');

-- name: create_ledger_keys
CREATE TABLE ledger_keys (member_key VARCHAR, ledger_key VARCHAR);

-- name: find_ledger_keys
-- If the ledger knows the same person under another key, the member gets that key. So a removal finds a member that was
-- added from a download.
INSERT INTO ledger_keys
WITH without_mpid AS (
    SELECT member_key, email, user_id FROM desired
    WHERE starts_with(member_key, 'customer:') OR starts_with(member_key, 'email:')
    UNION ALL
    SELECT member_key, email, user_id FROM leavers
    WHERE starts_with(member_key, 'customer:') OR starts_with(member_key, 'email:')
), unclaimed AS (
    SELECT member_key, email, user_id FROM ledger WHERE mapping_id = $mapping_id
        AND member_key NOT IN (SELECT member_key FROM desired)
        AND member_key NOT IN (SELECT member_key FROM leavers)
), candidates AS (
    SELECT without_mpid.member_key, unclaimed.member_key AS ledger_key, 0 AS preference
    FROM without_mpid JOIN unclaimed ON unclaimed.user_id = without_mpid.user_id
    UNION ALL
    SELECT without_mpid.member_key, unclaimed.member_key, 1
    FROM without_mpid JOIN unclaimed ON unclaimed.email = without_mpid.email
    WHERE email_identifies()
), ranked AS (
    SELECT member_key, ledger_key,
        row_number() OVER (PARTITION BY member_key ORDER BY preference, ledger_key) AS position
    FROM candidates
)
SELECT min(member_key) AS member_key, ledger_key FROM ranked WHERE position = 1 GROUP BY ledger_key;

-- name: use_ledger_keys
UPDATE desired SET member_key = ledger_key FROM ledger_keys WHERE ledger_keys.member_key = desired.member_key;
UPDATE leavers SET member_key = ledger_key FROM ledger_keys WHERE ledger_keys.member_key = leavers.member_key;

-- name: use_ledger_keys_of_fields
UPDATE data_fields SET member_key = ledger_key FROM ledger_keys WHERE ledger_keys.member_key = data_fields.member_key;

-- name: digest_fields
UPDATE data_fields SET digest = left(sha256($salt || member_key || chr(10) || fields), 32);

-- name: find_changed_fields
CREATE TABLE changed_fields AS
SELECT data_fields.member_key FROM data_fields LEFT JOIN ledger_digests USING (member_key)
WHERE data_fields.digest IS DISTINCT FROM ledger_digests.digest;

-- name: find_shared_keys
-- The subscribers, as hashes, that more than one member may be. Hashes take a third of the memory of the keys.
CREATE TABLE shared_keys AS
SELECT hash(subscriber_key(email, user_id)) AS key FROM desired GROUP BY 1 HAVING count(*) > 1;

-- name: find_shared_user_ids
-- The same of user ids, if they are unique next to the emails (in hybrid projects).
CREATE TABLE shared_user_ids AS
SELECT hash(user_id) AS key FROM desired WHERE $are_unique AND user_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1;

-- name: create_joined
-- The statement goes on with `join`. (For large audiences, parts.sql has another beginning.)
CREATE TABLE joined AS
WITH known AS (SELECT * FROM ledger WHERE mapping_id = $mapping_id)

-- name: join
-- In an email-based project a member whose former identity was a placeholder is renamed, so that no orphaned user stays
-- behind. (An interrupted rename leaves its row unconfirmed.) In a hybrid project the update itself gives the user the
-- new email, but if users may be merged, another user with that email is looked for first.
SELECT coalesce(desired.member_key, known.member_key) AS member_key, desired.email, desired.user_id,
    desired.is_counted, desired.member_key IS NOT NULL AS in_source, known.member_key IS NOT NULL AS in_ledger,
    known.email AS ledger_email, known.user_id AS ledger_user_id,
    coalesce(known.is_confirmed, false) AS is_confirmed,
    coalesce(known.is_confirmed AND (known.email = desired.email OR desired.email IS NULL)
        AND known.user_id IS NOT DISTINCT FROM desired.user_id, false) AS is_unchanged,
    $renames AND known.member_key IS NOT NULL AS is_known_by_mpid,
    desired.email <> desired.member_key || '@' || $placeholder_domain
        AND coalesce(known.email = desired.member_key || '@' || $placeholder_domain, NOT known.is_confirmed)
        AND known.member_key IS NOT NULL AND ($renames OR ($merges AND known.email IS NOT NULL)) AS needs_rename
FROM desired FULL JOIN known ON (known.member_key = desired.member_key)

-- name: without_unchanged
-- What follows `join` in DuckDB: most members are unchanged, and nothing else depends on their rows. They are a
-- second copy of the source and of the ledger on disk.
WHERE NOT coalesce(is_unchanged AND is_counted
    AND hash(subscriber_key(desired.email, desired.user_id)) NOT IN (SELECT key FROM shared_keys)
    AND hash(desired.user_id) NOT IN (SELECT key FROM shared_user_ids)
    AND desired.member_key NOT IN (SELECT member_key FROM changed_fields), false);

-- name: mark_changed_fields
UPDATE joined SET is_unchanged = false
WHERE is_unchanged AND member_key IN (SELECT member_key FROM changed_fields);

-- name: create_joined_without_ledger
CREATE VIEW joined AS
SELECT *, true AS in_source, false AS in_ledger, NULL::VARCHAR AS ledger_email, NULL::VARCHAR AS ledger_user_id,
    false AS is_confirmed, false AS is_unchanged, false AS is_known_by_mpid, false AS needs_rename
FROM desired;

-- name: add_mirror_leavers
-- The leavers of a mirror are the members that are in the ledger and not in the source.
INSERT INTO leavers
SELECT member_key, ledger_email, ledger_user_id, true, NULL FROM joined ANTI JOIN rejected USING (member_key)
WHERE NOT in_source AND NOT starts_with(member_key, $former)
    AND member_key NOT IN (SELECT member_key FROM leavers);

-- name: add_former_identities
-- Former identities that an unfinished run has left in the ledger. They belong to no member, so they are not counted.
INSERT INTO leavers
SELECT member_key, ledger_email, ledger_user_id, false, NULL FROM joined ANTI JOIN leavers USING (member_key)
WHERE NOT in_source AND starts_with(member_key, $former);

-- name: create_duplicate_profiles
-- A member that is on the list under exactly this identity comes first, so that nothing changes for it. The order is
-- total, so that two plans agree. `shared_keys` has the few candidates; the keys decide.
CREATE TABLE duplicate_profiles AS
SELECT member_key, primary_profile FROM (
    SELECT member_key, first_value(member_key) OVER same_subscriber AS primary_profile FROM joined
    WHERE in_source AND hash(subscriber_key(email, user_id)) IN (SELECT key FROM shared_keys)
    WINDOW same_subscriber AS (PARTITION BY subscriber_key(email, user_id) ORDER BY is_counted DESC, is_unchanged DESC,
        coalesce(NOT is_other_subscriber(ledger_email, ledger_user_id, email, user_id), false) DESC,
        email IS NULL, member_key)
) WHERE member_key <> primary_profile;

-- name: create_duplicates_by_user_id
-- In a hybrid project: of those that are left, with an email each, those that share a user id.
CREATE TABLE duplicates_by_user_id AS
SELECT member_key, primary_profile FROM (
    SELECT member_key, first_value(member_key) OVER same_subscriber AS primary_profile
    FROM joined ANTI JOIN duplicate_profiles USING (member_key)
    WHERE in_source AND hash(user_id) IN (SELECT key FROM shared_user_ids)
    WINDOW same_subscriber AS (PARTITION BY user_id ORDER BY is_counted DESC, is_unchanged DESC,
        coalesce(ledger_user_id = user_id, false) DESC, member_key)
) WHERE member_key <> primary_profile;

-- name: add_duplicates_by_user_id
-- Who shares an email with one of them has the same primary profile.
UPDATE duplicate_profiles SET primary_profile = others.primary_profile
FROM duplicates_by_user_id AS others WHERE others.member_key = duplicate_profiles.primary_profile;
INSERT INTO duplicate_profiles SELECT * FROM duplicates_by_user_id;

-- name: create_on_list_by_other_mapping
CREATE TABLE on_list_by_other_mapping AS
WITH others AS (SELECT * FROM ledger WHERE mapping_id <> $mapping_id AND is_confirmed)
SELECT desired.member_key FROM desired SEMI JOIN others ON (
    subscriber_key(others.email, others.user_id) = subscriber_key(desired.email, desired.user_id)
    AND (desired.email IS NULL OR desired.email = others.email)
    AND (desired.user_id IS NULL OR desired.user_id = others.user_id));

-- name: create_merged
-- Members who are on the list already, under another profile: one that leaves or, in a delta ($any), any other. mParticle
-- has merged the two, or is about to. For Iterable nothing but the profile changes.
CREATE TABLE merged AS
WITH others AS (
    SELECT member_key, email, user_id FROM ledger
    WHERE mapping_id = $mapping_id AND is_confirmed
        AND ($any OR member_key IN (SELECT member_key FROM leavers))
)
SELECT desired.member_key FROM desired JOIN others
ON subscriber_key(others.email, others.user_id) = subscriber_key(desired.email, desired.user_id)
    AND others.member_key <> desired.member_key
UNION
SELECT desired.member_key FROM desired JOIN others
ON others.user_id = desired.user_id AND others.member_key <> desired.member_key
WHERE is_kept_by_user_id(others.email);

-- name: create_empty_merged
CREATE TABLE merged AS SELECT NULL::VARCHAR AS member_key LIMIT 0;

-- name: send_changed_fields
-- Who is on the list because of another mapping gets the data fields of this one.
DELETE FROM on_list_by_other_mapping WHERE member_key IN (SELECT member_key FROM changed_fields);

-- name: classify
-- diff.py creates `classified` from this query: a table, or for many members a view.
SELECT joined.*, duplicate_profiles.primary_profile, CASE
        WHEN duplicate_profiles.primary_profile IS NOT NULL THEN 'duplicate'
        WHEN joined.is_unchanged THEN 'unchanged'
        WHEN on_list_by_other_mapping.member_key IS NOT NULL AND NOT coalesce(joined.is_confirmed
            OR is_other_identity(joined.ledger_email, joined.ledger_user_id, joined.email, joined.user_id),
            joined.is_known_by_mpid) THEN 'retained'
        WHEN joined.in_ledger AND (joined.is_confirmed
            OR is_other_subscriber(joined.ledger_email, joined.ledger_user_id, joined.email, joined.user_id)
            OR (joined.ledger_email IS NULL AND joined.is_known_by_mpid)) THEN 'update'
        WHEN merged.member_key IS NOT NULL THEN 'update'
        ELSE 'add'
    END AS outcome
FROM joined
LEFT JOIN duplicate_profiles ON duplicate_profiles.member_key = joined.member_key
LEFT JOIN on_list_by_other_mapping ON on_list_by_other_mapping.member_key = joined.member_key
LEFT JOIN merged ON merged.member_key = joined.member_key
WHERE joined.in_source;

-- name: create_known_leavers
CREATE TABLE known_leavers AS
SELECT leavers.member_key, ledger.email, ledger.user_id, leavers.is_counted
FROM leavers JOIN ledger ON ledger.member_key = leavers.member_key
WHERE ledger.mapping_id = $mapping_id;

-- name: create_removal_candidates
CREATE TABLE removal_candidates AS
SELECT member_key, email, user_id, true AS is_leaver, is_counted, true AS in_ledger FROM known_leavers
UNION ALL
SELECT member_key, coalesce(unknown.email, last_known_emails.email), user_id, true, is_counted, false
FROM (SELECT * FROM leavers ANTI JOIN known_leavers USING (member_key)) AS unknown
LEFT JOIN last_known_emails USING (member_key)
WHERE reason IS NULL
UNION ALL
SELECT member_key, former_email, ledger_user_id, false, false, true FROM (
    SELECT *, last_identity_email(member_key, ledger_email, ledger_user_id, is_confirmed,
        member_key || '@' || $placeholder_domain) AS former_email
    FROM classified WHERE in_ledger)
WHERE is_other_subscriber(former_email, ledger_user_id, email, user_id) AND NOT (needs_rename AND outcome = 'update');

-- name: reject_unknown_leavers
INSERT INTO rejected
SELECT member_key, NULL, NULL, reason FROM leavers ANTI JOIN known_leavers USING (member_key)
WHERE reason IS NOT NULL;

-- name: create_retained_by
-- What keeps an identity on the list: a member, another mapping, or a row of the ledger that this run does not change.
CREATE TABLE retained_by AS
WITH keeping AS (
    SELECT $mapping_id AS mapping_id, member_key, email, user_id FROM desired
    UNION ALL
    SELECT mapping_id, member_key, email, user_id FROM ledger WHERE mapping_id <> $mapping_id
    UNION ALL
    SELECT $mapping_id, member_key, ledger_email, ledger_user_id FROM joined ANTI JOIN leavers USING (member_key)
    WHERE NOT in_source
), pairs AS (
    SELECT removal_candidates.member_key, keeping.mapping_id, keeping.member_key AS keeping_key
    FROM removal_candidates JOIN keeping ON subscriber_key(keeping.email, keeping.user_id)
        = subscriber_key(removal_candidates.email, removal_candidates.user_id)
    UNION ALL
    SELECT removal_candidates.member_key, keeping.mapping_id, keeping.member_key
    FROM removal_candidates JOIN keeping ON keeping.user_id = removal_candidates.user_id
    WHERE is_kept_by_user_id(removal_candidates.email)
)
SELECT member_key, mapping_id AS retaining_mapping, keeping_key AS retaining_key FROM (
    SELECT *, row_number() OVER (PARTITION BY member_key ORDER BY mapping_id, keeping_key) AS position FROM pairs)
WHERE position = 1;

-- name: create_empty_retained_by
CREATE TABLE retained_by (member_key VARCHAR, retaining_mapping BIGINT, retaining_key VARCHAR);

-- name: create_removals
-- Of several identities with the same subscriber, the first is sent: that of a counted leaver, if there is one.
CREATE TABLE removals AS
SELECT removal_candidates.*, first_value(removal_candidates.member_key) OVER same_subscriber AS primary_profile,
    row_number() OVER same_subscriber AS position
FROM removal_candidates ANTI JOIN retained_by USING (member_key)
WINDOW same_subscriber AS (
    PARTITION BY coalesce('k' || subscriber_key(removal_candidates.email, removal_candidates.user_id),
        'u' || removal_candidates.user_id, 'e' || removal_candidates.email)
    ORDER BY (removal_candidates.is_leaver AND removal_candidates.is_counted) DESC,
        removal_candidates.is_leaver DESC, removal_candidates.member_key);

-- name: count_outcomes
SELECT outcome, count(*) FROM classified WHERE is_counted GROUP BY outcome;

-- name: count_left_out
-- The unchanged members that are not in `joined`.
SELECT (SELECT count(*) FROM desired WHERE is_counted) - (SELECT count(*) FROM joined WHERE in_source AND is_counted);

-- name: count_leavers
SELECT
    (SELECT count(*) FROM leavers WHERE is_counted),
    (SELECT count(*) FROM removals WHERE is_leaver AND is_counted AND position = 1),
    (SELECT count(*) FROM removals WHERE is_leaver AND is_counted AND position > 1)
        + (SELECT count(*) FROM removal_candidates SEMI JOIN retained_by USING (member_key)
            WHERE is_leaver AND is_counted);
