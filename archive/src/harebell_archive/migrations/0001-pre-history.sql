CREATE TABLE harebell.messages (
    epoch integer NOT NULL,
    stream_offset bigint NOT NULL,
    -- When the broker took the message; by it the table is partitioned.
    time timestamptz NOT NULL,
    -- When its sender says that it sent it.
    sent_at timestamptz,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    message_id text,
    -- UID of the Task.
    correlation_id text,
    kind text,
    task_namespace text,
    task_name text,
    attempt integer,
    agent_type text,
    agent_id text,
    priority smallint,
    reason text,
    headers jsonb NOT NULL,
    -- One of the two is null: raw is a body that is no JSON.
    body jsonb,
    raw bytea,
    -- The key of a partitioned table holds what it is partitioned by; epoch and offset alone are unique too.
    PRIMARY KEY (epoch, stream_offset, time)
) PARTITION BY RANGE (time);

CREATE INDEX messages_correlation ON harebell.messages (correlation_id, time);
CREATE INDEX messages_time ON harebell.messages (time);

CREATE TABLE harebell.archive_position (
    stream text PRIMARY KEY,
    epoch integer NOT NULL,
    next_offset bigint NOT NULL,
    -- Of the message at next_offset - 1, or null before the first of an epoch.
    digest bytea,
    last_time timestamptz,
    messages bigint NOT NULL DEFAULT 0
);

CREATE TABLE harebell.archive_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL,
    epoch integer NOT NULL,
    first_offset bigint NOT NULL,
    -- At most so many; null: unknown.
    messages bigint,
    reason text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now()
);

-- Made apart and attached, which, unlike making it as a partition, locks no reader out.
CREATE FUNCTION harebell.make_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := 'messages_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('harebell.' || name) IS NULL THEN
        EXECUTE format('CREATE TABLE harebell.%I (LIKE harebell.messages INCLUDING ALL)', name);
        EXECUTE format(
            'ALTER TABLE harebell.messages ATTACH PARTITION harebell.%I FOR VALUES FROM (%L) TO (%L)',
            name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END IF;
END $$;

CREATE FUNCTION harebell.drop_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS harebell.%I', 'messages_' || to_char(day, 'YYYYMMDD'));
END $$;
