-- With a long history the index takes longer than a statement usually may; the stream keeps what comes meanwhile.
SET LOCAL statement_timeout = '6h';

-- To list the Tasks that were deleted, newest first.
CREATE INDEX messages_removed_time ON harebell.messages (task_namespace, time) WHERE kind = 'Removed';

-- Every message about one Task, without what is for its action or its maker alone: payload, inputs, checkpoints, the
-- idempotency key. A contract with whoever reads the archive: columns may be added, none changed.
CREATE VIEW harebell.task_messages AS
SELECT
    epoch, stream_offset, time, sent_at, exchange, kind, correlation_id AS task_uid, task_namespace, task_name,
    attempt, agent_type, agent_id, reason,
    CASE jsonb_typeof(body) WHEN 'object' THEN
        body - '{payload,inputs,checkpoint,data}'::text[]
            #- '{spec,payload}' #- '{spec,idempotencyKey}' #- '{status,checkpoint,data}'
    END AS body
FROM harebell.messages
WHERE kind IN (
    'Work', 'Started', 'Progressed', 'Checkpointed', 'Succeeded', 'Failed', 'Cancelled', 'Interrupted',
    'CancelTask', 'SuspendTask', 'Removed'
)
-- The operator alone may publish there; what an agent calls a record is none.
AND (kind <> 'Removed' OR exchange = 'harebell.records');
