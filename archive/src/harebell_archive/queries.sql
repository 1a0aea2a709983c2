-- Named queries; queries.py reads them.

-- name: schema
CREATE SCHEMA IF NOT EXISTS harebell

-- name: migrations_table
CREATE TABLE IF NOT EXISTS harebell.migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: lock_migrations
SELECT pg_advisory_xact_lock(hashtext('harebell'), 1)

-- name: applied_migrations
SELECT number FROM harebell.migrations

-- name: record_migration
INSERT INTO harebell.migrations (number, name) VALUES ($1, $2)

-- name: try_lock_writer
SELECT pg_try_advisory_lock(hashtext('harebell'), 2)

-- name: begin_position
INSERT INTO harebell.archive_position (stream, epoch, next_offset) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING

-- name: position
SELECT
    p.epoch, p.next_offset, p.digest, p.messages, p.last_time,
    g.gap_messages, g.last_gap_at
FROM harebell.archive_position AS p
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(messages), 0)::bigint AS gap_messages,
        max(noticed_at) AS last_gap_at
    FROM harebell.archive_gaps
    WHERE stream = $1
) AS g
WHERE p.stream = $1

-- name: advance
UPDATE harebell.archive_position
SET epoch = $4, next_offset = $5, digest = $6, last_time = coalesce($7, last_time), messages = messages + $8
WHERE stream = $1 AND epoch = $2 AND next_offset = $3
RETURNING messages, last_time

-- name: record_gap
INSERT INTO harebell.archive_gaps (stream, epoch, first_offset, messages, reason) VALUES ($1, $2, $3, $4, $5)

-- name: make_partition
SELECT harebell.make_partition($1)

-- name: wait_little
SET LOCAL lock_timeout = '300ms'

-- name: drop_partition
SELECT harebell.drop_partition($1)

-- name: partitions
SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'harebell.messages'::regclass AND c.relname ~ '^messages_[0-9]{8}$'

-- name: has_reader
SELECT true FROM pg_roles WHERE rolname = 'harebell_reader'

-- name: make_reader
CREATE ROLE harebell_reader LOGIN CONNECTION LIMIT 20

-- name: reader_password
SELECT format('ALTER ROLE harebell_reader PASSWORD %L', $1::text)

-- name: admit_reader
GRANT USAGE ON SCHEMA harebell TO harebell_reader;
GRANT SELECT ON harebell.task_history, harebell.task_messages TO harebell_reader
