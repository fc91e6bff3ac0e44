-- The statements of core/planning/exclusions.py, in the order in which they are executed. schema.sql describes the
-- tables. Only DuckDB executes them.

-- name: find_domains
-- The domains of all addresses that belong to an excluded domain. There are far fewer of them than addresses.
CREATE TABLE excluded_domains AS
SELECT domain FROM (
    SELECT split_part(lower(email), '@', 2) AS domain FROM desired UNION
    SELECT split_part(lower(email), '@', 2) FROM ledger) AS used
WHERE EXISTS (SELECT 1 FROM exclusion_domains
    WHERE used.domain = exclusion_domains.domain OR ends_with(used.domain, '.' || exclusion_domains.domain));

-- name: define_excluded
CREATE MACRO is_excluded(salt, length, member_key, email, user_id) AS coalesce(
    left(sha256(salt || lower(email)), length) IN (SELECT digest FROM exclusion_digests), false)
    OR coalesce(split_part(lower(email), '@', 2) IN (SELECT domain FROM excluded_domains), false)
    OR coalesce(lower(email) IN (SELECT email FROM excluded_people WHERE email IS NOT NULL), false)
    OR coalesce(user_id IN (SELECT user_id FROM excluded_people WHERE user_id IS NOT NULL), false)
    OR coalesce(member_key IN (SELECT member_key FROM excluded_people WHERE member_key IS NOT NULL), false);

-- name: find_members
CREATE TABLE excluded_members AS
SELECT member_key, email, user_id, is_counted FROM desired
WHERE is_excluded($salt, $length, member_key, email, user_id);

-- name: reject
INSERT INTO rejected
SELECT member_key, email, {customer_id}, $reason FROM excluded_members WHERE is_counted;

-- name: drop_members
DELETE FROM desired WHERE member_key IN (SELECT member_key FROM excluded_members);

-- name: add_leavers
-- Who is on the list and excluded leaves it, whether or not the source has them.
INSERT INTO leavers
SELECT member_key, email, user_id, true, NULL FROM ledger
WHERE mapping_id = $mapping_id AND NOT starts_with(member_key, $former)
    AND member_key NOT IN (SELECT member_key FROM desired)
    AND member_key NOT IN (SELECT member_key FROM leavers)
    AND (member_key IN (SELECT member_key FROM excluded_members)
        OR is_excluded($salt, $length, member_key, email, user_id));
