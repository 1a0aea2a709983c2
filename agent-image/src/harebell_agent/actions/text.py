"""``text.stats``: counts what a text is made of."""

import re
from collections import Counter
from typing import Annotated

from pydantic import Field

from harebell_agent.context import Context

from .model import Model

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


class StatsPayload(Model):
    """The text, and how many of its most frequent words to name."""

    text: str
    top: Annotated[int, Field(ge=0, le=100)] = 10


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
    words = _WORD.findall(payload.text)
    counts = Counter(word.casefold() for word in words)
    return StatsResult(
        characters=len(payload.text),
        words=len(words),
        lines=len(payload.text.splitlines()),
        most_frequent_words=[WordCount(word=w[:200], count=n) for w, n in counts.most_common(payload.top)],
    )
