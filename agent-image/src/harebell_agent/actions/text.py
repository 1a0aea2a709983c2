"""``text.stats``: counts what a text is made of."""

import re
from collections import Counter
from typing import Annotated, Self

from pydantic import Field, model_validator

from harebell_agent.context import Context
from harebell_agent.errors import PermanentError

from .model import Model

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


class StatsPayload(Model):
    """The text, or the Task whose result has it, and how many of its most frequent words to name."""

    text: str | None = None
    text_from: str | None = None
    """Name of a Task in ``spec.dependsOn`` that returned a text, or an object with a member ``text``."""
    top: Annotated[int, Field(ge=0, le=100)] = 10

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.text is None) == (self.text_from is None):
            raise ValueError("give either text or textFrom")
        return self


class WordCount(Model):
    """A word, in lower case, and how often it occurs."""

    word: str
    count: int


class StatsResult(Model):
    """What the text is made of."""

    characters: int
    words: int
    lines: int
    most_frequent_words: list[WordCount]


def stats(ctx: Context, payload: StatsPayload) -> StatsResult:
    """Count characters, words and lines. Words equally frequent come in the order of the text."""
    text = payload.text if payload.text is not None else _input(ctx, payload.text_from or "")
    words = _WORD.findall(text)
    counts = Counter(word.casefold() for word in words)
    return StatsResult(
        characters=len(text),
        words=len(words),
        lines=len(text.splitlines()),
        most_frequent_words=[WordCount(word=w[:200], count=n) for w, n in counts.most_common(payload.top)],
    )


def _input(ctx: Context, name: str) -> str:
    if name not in ctx.inputs:
        raise PermanentError(f"textFrom: spec.dependsOn does not name {name}", code="InvalidPayload")
    result = ctx.inputs[name]
    text = result.get("text") if isinstance(result, dict) else result
    if not isinstance(text, str):
        raise PermanentError(f"textFrom: Task {name} returned no text", code="InvalidInput")
    return text
