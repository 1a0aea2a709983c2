"""Parameters that several routes take."""

from typing import Annotated

from fastapi import Header, Path

TaskId = Annotated[str, Path(description="Name of the Task, or its UID.")]
AgentName = Annotated[str, Path(description="Name of the Agent.")]
AnnouncementName = Annotated[str, Path(description="Name of the Announcement.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="A value of the client's choice: repeating the request with it returns the same Task.",
        max_length=300,
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        description="An ETag of the Task, from any answer that shows it: change it only if it is in that"
        " version still. Several may be given, with commas between them; `*` stands for any.",
        max_length=1024,
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(description="ETag of what the client has: 304 if it is so still.", max_length=1024),
]
