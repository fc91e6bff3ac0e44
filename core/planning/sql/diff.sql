-- The statements of core/planning/diff.py, in the order in which they are executed. schema.sql describes the tables.

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
), ranked AS (
    SELECT member_key, ledger_key,
        row_number() OVER (PARTITION BY member_key ORDER BY preference, ledger_key) AS position
    FROM candidates
)
SELECT min(member_key) AS member_key, ledger_key FROM ranked WHERE position = 1 GROUP BY ledger_key;

-- name: use_ledger_keys
UPDATE desired SET member_key = ledger_key FROM ledger_keys WHERE ledger_keys.member_key = desired.member_key;
UPDATE leavers SET member_key = ledger_key FROM ledger_keys WHERE ledger_keys.member_key = leavers.member_key;

-- name: create_joined
-- A member whose former identity was a placeholder is renamed, so that no orphaned user stays behind. (An interrupted
-- rename leaves its row unconfirmed.)
CREATE TABLE joined AS
SELECT coalesce(desired.member_key, known.member_key) AS member_key, desired.email, desired.user_id,
    desired.is_counted, desired.member_key IS NOT NULL AS in_source, known.member_key IS NOT NULL AS in_ledger,
    known.email AS ledger_email, known.user_id AS ledger_user_id,
    coalesce(known.is_confirmed, false) AS is_confirmed,
    coalesce(known.is_confirmed AND known.email = desired.email
        AND known.user_id IS NOT DISTINCT FROM desired.user_id, false) AS is_unchanged,
    $by_mpid AND in_ledger AS is_known_by_mpid,
    is_known_by_mpid AND desired.email <> desired.member_key || '@' || $placeholder_domain
        AND coalesce(known.email = desired.member_key || '@' || $placeholder_domain, NOT known.is_confirmed)
        AS needs_rename
FROM desired
FULL JOIN (SELECT * FROM ledger WHERE mapping_id = $mapping_id) AS known ON known.member_key = desired.member_key;

-- name: create_joined_without_ledger
CREATE VIEW joined AS
SELECT *, true AS in_source, false AS in_ledger, NULL::VARCHAR AS ledger_email, NULL::VARCHAR AS ledger_user_id,
    false AS is_confirmed, false AS is_unchanged, false AS is_known_by_mpid, false AS needs_rename
FROM desired;

-- name: add_mirror_leavers
-- The leavers of a mirror are the members that are in the ledger and not in the source.
INSERT INTO leavers
SELECT member_key, ledger_email, ledger_user_id, true, NULL FROM joined ANTI JOIN rejected USING (member_key)
WHERE NOT in_source AND NOT starts_with(member_key, $former);

-- name: add_former_identities
-- Former identities that an unfinished run has left in the ledger. They belong to no member, so they are not counted.
INSERT INTO leavers
SELECT member_key, ledger_email, ledger_user_id, false, NULL FROM joined ANTI JOIN leavers USING (member_key)
WHERE NOT in_source AND starts_with(member_key, $former);

-- name: create_duplicate_profiles
-- A member that is on the list under exactly this identity comes first, so that nothing changes for it. The order is
-- total, so that two plans agree. Comparing hashes first finds the few candidates in a third of the memory; the emails
-- decide.
CREATE TABLE duplicate_profiles AS
SELECT member_key, primary_profile FROM (
    SELECT member_key, first_value(member_key) OVER same_subscriber AS primary_profile FROM joined
    WHERE in_source AND hash(email) IN (SELECT hash(email) FROM desired GROUP BY ALL HAVING count(*) > 1)
    WINDOW same_subscriber AS (PARTITION BY email ORDER BY is_counted DESC, is_unchanged DESC,
        coalesce(ledger_email = email, false) DESC, member_key)
) WHERE member_key <> primary_profile;

-- name: create_on_list_by_other_mapping
CREATE TABLE on_list_by_other_mapping AS
SELECT DISTINCT ledger.email FROM ledger SEMI JOIN desired
ON desired.email = ledger.email AND (desired.user_id IS NULL OR desired.user_id = ledger.user_id)
WHERE ledger.mapping_id <> $mapping_id AND ledger.is_confirmed;

-- name: classify
-- diff.py creates `classified` from this query: a table, or for many members a view.
SELECT joined.*, duplicate_profiles.primary_profile, CASE
        WHEN duplicate_profiles.primary_profile IS NOT NULL THEN 'duplicate'
        WHEN joined.is_unchanged THEN 'unchanged'
        WHEN on_list_by_other_mapping.email IS NOT NULL
            AND NOT coalesce(joined.ledger_email <> joined.email OR joined.is_confirmed, joined.is_known_by_mpid)
            THEN 'retained'
        WHEN joined.in_ledger AND (joined.is_confirmed OR joined.ledger_email <> joined.email
            OR (joined.ledger_email IS NULL AND joined.is_known_by_mpid)) THEN 'update'
        ELSE 'add'
    END AS outcome
FROM joined
LEFT JOIN duplicate_profiles ON duplicate_profiles.member_key = joined.member_key
LEFT JOIN on_list_by_other_mapping ON on_list_by_other_mapping.email = joined.email
WHERE joined.in_source;

-- name: create_known_leavers
CREATE TABLE known_leavers AS
SELECT leavers.member_key, ledger.email, ledger.user_id, leavers.is_counted
FROM leavers JOIN ledger ON ledger.member_key = leavers.member_key
WHERE ledger.mapping_id = $mapping_id;

-- name: create_removal_candidates
-- If a rename was interrupted and is not retried, because the User ID setting has changed, the former identity is the
-- placeholder.
CREATE TABLE removal_candidates AS
SELECT member_key, email, user_id, true AS is_leaver, is_counted, true AS in_ledger FROM known_leavers
UNION ALL
SELECT member_key, coalesce(unknown.email, last_known_emails.email), user_id, true, is_counted, false
FROM (SELECT * FROM leavers ANTI JOIN known_leavers USING (member_key)) AS unknown
LEFT JOIN last_known_emails USING (member_key)
WHERE reason IS NULL
UNION ALL
SELECT member_key, former_email, ledger_user_id, false, false, true FROM (
    SELECT *, coalesce(ledger_email, if(NOT is_confirmed AND ledger_user_id = member_key,
        member_key || '@' || $placeholder_domain, NULL)) AS former_email
    FROM classified)
WHERE former_email <> email AND NOT (needs_rename AND outcome = 'update');

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
    FROM removal_candidates JOIN keeping ON keeping.email = removal_candidates.email
    UNION ALL
    SELECT removal_candidates.member_key, keeping.mapping_id, keeping.member_key
    FROM removal_candidates JOIN keeping ON keeping.user_id = removal_candidates.user_id
    WHERE removal_candidates.email IS NULL
)
SELECT member_key, min({'mapping_id': mapping_id, 'member_key': keeping_key}) AS retaining_row
FROM pairs GROUP BY member_key;

-- name: create_empty_retained_by
CREATE TABLE retained_by AS
SELECT NULL::VARCHAR AS member_key, {'mapping_id': $mapping_id, 'member_key': NULL::VARCHAR} AS retaining_row LIMIT 0;

-- name: create_removals
-- Of several identities with the same subscriber, the first is sent: that of a counted leaver, if there is one.
CREATE TABLE removals AS
SELECT removal_candidates.*, first_value(removal_candidates.member_key) OVER same_subscriber AS primary_profile,
    row_number() OVER same_subscriber AS position
FROM removal_candidates ANTI JOIN retained_by USING (member_key)
WINDOW same_subscriber AS (
    PARTITION BY coalesce('e' || removal_candidates.email, 'u' || removal_candidates.user_id)
    ORDER BY (removal_candidates.is_leaver AND removal_candidates.is_counted) DESC,
        removal_candidates.is_leaver DESC, removal_candidates.member_key);

-- name: count_outcomes
SELECT outcome, count(*) FROM classified WHERE is_counted GROUP BY outcome;

-- name: count_leavers
SELECT
    (SELECT count(*) FROM leavers WHERE is_counted),
    (SELECT count(*) FROM removals WHERE is_leaver AND is_counted AND position = 1),
    (SELECT count(*) FROM removals WHERE is_leaver AND is_counted AND position > 1)
        + (SELECT count(*) FROM removal_candidates SEMI JOIN retained_by USING (member_key)
            WHERE is_leaver AND is_counted);
