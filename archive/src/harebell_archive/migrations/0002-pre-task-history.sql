-- With a long history the index takes longer than a statement usually may; the stream keeps what comes meanwhile.
SET LOCAL statement_timeout = '6h';

-- To find a Task that was deleted by its name; by its UID there is an index already.
CREATE INDEX messages_removed ON harebell.messages (task_namespace, task_name, time) WHERE kind = 'Removed';

-- What tells how a Task went: the contract with whoever reads the archive. Columns may be added, none changed.
CREATE VIEW harebell.task_history AS
SELECT
    correlation_id AS task_uid, task_namespace, task_name, time, sent_at, exchange, kind, attempt, agent_id,
    body, raw
FROM harebell.messages
WHERE kind IN ('Work', 'Started', 'Succeeded', 'Failed', 'Cancelled', 'Interrupted', 'Removed');
