-- The statements of core/planning/partitioned_join.py: `desired` is joined with the ledger part by part. A part is a range
-- of member keys.

-- name: count_rows
SELECT (SELECT count(*) FROM desired), (SELECT count(*) FROM ledger WHERE mapping_id = $mapping_id);

-- name: count_sets
-- The rows of the tables that `without_unchanged` in diff.sql reads as sets: in each part once more.
SELECT (SELECT count(*) FROM shared_keys) + (SELECT count(*) FROM shared_user_ids)
    + (SELECT count(*) FROM changed_fields);

-- name: sample_desired
-- Keys from which the bounds of the parts are taken.
SELECT member_key FROM desired USING SAMPLE 20000 ROWS;

-- name: sample_ledger
SELECT member_key FROM (SELECT member_key FROM ledger WHERE mapping_id = $mapping_id) USING SAMPLE 20000 ROWS;

-- name: find_zones
-- The smallest and the largest key in each zone: so many rows one after the other. If a table is mostly sorted by its key, a
-- part is in a few zones. (DuckDB's own statistics know the first eight bytes of a key.)
SELECT rowid // $zone AS zone, min(member_key), max(member_key) FROM {table}
WHERE {condition} GROUP BY zone ORDER BY zone;

-- name: read_part
-- The rows of a part in a range of rows. (The schema tells the table `desired` from the part of the same name.)
SELECT * FROM main.{table} WHERE {condition} AND rowid >= {first} AND rowid < {end}
    AND member_key >= $low AND ($high IS NULL OR member_key < $high);

-- name: join_part
-- The beginning of a statement that goes on with `join` in diff.sql: one part of both sides.
INSERT INTO joined
WITH known AS ({ledger}), desired AS ({desired})
