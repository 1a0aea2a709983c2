"""The history: a copy of every message in a stream, without work ever waiting for the stream.

A publisher's confirm waits for every queue the message reached (RabbitMQ documentation, "Consumer
Acknowledgements and Publisher Confirms"), so a stream bound to the exchanges would stall work whenever it
cannot be written. They are bound to a quorum queue instead, the intake, whose messages expire at once and
which the broker itself dead-letters into the stream, keeping each until the stream has confirmed it. While
the stream is away they wait in the intake.
"""

from typing import Final

from .topology import (
    ANNOUNCEMENTS_EXCHANGE,
    COMMANDS_EXCHANGE,
    DEAD_LETTERS_EXCHANGE,
    HEARTBEATS_EXCHANGE,
    RECORDS_EXCHANGE,
    REPLIES_EXCHANGE,
    WORK_EXCHANGE,
    Binding,
    Exchange,
    Queue,
    Topology,
)

HISTORY_EXCHANGE: Final = "harebell.history"
HISTORY_STREAM: Final = "harebell.history"
HISTORY_INTAKE: Final = "harebell.history.intake"

REPORTS_EXCHANGE: Final = "harebell.archive"
REPORTS_QUEUE: Final = "harebell.archive-reports"

MAX_AGE: Final = "7D"
"""What the stream keeps where no policy says otherwise."""
SEGMENT_BYTES: Final = 20_000_000
"""Whole segments are dropped, and never the one being written (RabbitMQ documentation, "Streams: Data
Retention"): a smaller one keeps a quiet bus closer to the age. No policy can change it for a stream that is
there (the same, "Declaring")."""

_EVERYTHING = (
    Binding(WORK_EXCHANGE, HISTORY_INTAKE, arguments={"x-match": "all"}),
    Binding(REPLIES_EXCHANGE, HISTORY_INTAKE),
    Binding(COMMANDS_EXCHANGE, HISTORY_INTAKE, routing_key="#"),
    Binding(ANNOUNCEMENTS_EXCHANGE, HISTORY_INTAKE),
    Binding(DEAD_LETTERS_EXCHANGE, HISTORY_INTAKE),
    Binding(RECORDS_EXCHANGE, HISTORY_INTAKE),
)
_HEARTBEATS = Binding(HEARTBEATS_EXCHANGE, HISTORY_INTAKE)


def history_topology(*, heartbeats: bool) -> Topology:
    """Return the history, what it records (everything, heartbeats only where they are wanted), and the way
    of the archiver's reports.

    Its bindings come after all others. Once they exist a message is never unroutable, so the queues it is
    meant for must be bound before.
    """
    return Topology(
        exchanges=(Exchange(HISTORY_EXCHANGE, "fanout"), Exchange(REPORTS_EXCHANGE, "fanout")),
        queues=(
            Queue(
                HISTORY_INTAKE,
                arguments={
                    "x-queue-type": "quorum",
                    "x-message-ttl": 0,
                    "x-dead-letter-exchange": HISTORY_EXCHANGE,
                    "x-dead-letter-strategy": "at-least-once",
                    # Needed by at-least-once. There is no length to go over: a full intake would refuse work.
                    "x-overflow": "reject-publish",
                },
            ),
            # The newest report says everything.
            Queue(
                REPORTS_QUEUE,
                arguments={"x-queue-type": "classic", "x-max-length": 10, "x-overflow": "drop-head"},
            ),
            Queue(
                HISTORY_STREAM,
                arguments={
                    "x-queue-type": "stream",
                    "x-max-age": MAX_AGE,
                    "x-stream-max-segment-size-bytes": SEGMENT_BYTES,
                },
            ),
        ),
        bindings=(
            Binding(HISTORY_EXCHANGE, HISTORY_STREAM),
            Binding(REPORTS_EXCHANGE, REPORTS_QUEUE),
            *_EVERYTHING,
            *((_HEARTBEATS,) if heartbeats else ()),
        ),
        unbindings=() if heartbeats else (_HEARTBEATS,),
    )
