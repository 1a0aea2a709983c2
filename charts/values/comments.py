"""The explanations in values.yaml: the comment above a value, from ``# --`` on."""

import re

_KEY = re.compile(r"( *)([A-Za-z]\w*):")
_BEGIN = "-- "


def descriptions(text: str) -> dict[str, str]:
    """Return the explanation of each value that has one, by its path, e.g. ``operator.image.tag``.

    ``text`` is YAML in block style, two spaces a level, as values.yaml is laid out.
    """
    found: dict[str, str] = {}
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").removeprefix(" "))
            continue
        key = _KEY.match(line)
        if key:
            path[len(key[1]) // 2 :] = [key[2]]
            begins = [number for number, said in enumerate(comment) if said.startswith(_BEGIN)]
            if begins:
                words = [comment[begins[-1]].removeprefix(_BEGIN), *comment[begins[-1] + 1 :]]
                found[".".join(path)] = " ".join(words)
        comment = []
    return found
