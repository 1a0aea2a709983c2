"""``echo``: returns its payload. Measures everything around an action."""

from typing import Any

from harebell_agent.context import Context


async def echo(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload."""
    return payload
