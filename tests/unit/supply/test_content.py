"""A digest of an image's content: the same for another time, another for anything else."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.supply.content import content_digest

FILES = {"opt/a.py": b"one", "opt/b.py": b"two"}
CONFIG: dict[str, Any] = {"Env": ["PATH=/bin"], "Cmd": ["run"], "Labels": {"built": "today"}}


def layer(files: dict[str, bytes], time: int = 1, mode: int = 0o644, owner: int = 0) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode, member.uid = len(content), time, mode, owner
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def digest(tmp_path: Path, *layers: bytes, config: dict[str, Any] = CONFIG) -> str:
    saved = tmp_path / "image.tar"
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "Layers": names, "RepoTags": ["x:1"]}]
    members = dict(zip(names, layers, strict=True))
    members["manifest.json"] = json.dumps(manifest).encode()
    members["config.json"] = json.dumps({"config": config, "created": "2026-01-01T00:00:00Z"}).encode()
    saved.write_bytes(layer(members))
    return content_digest(saved)


def test_times_labels_and_layers_do_not_matter(tmp_path: Path) -> None:
    whole = digest(tmp_path, layer(FILES))
    assert digest(tmp_path, layer(FILES, time=2)) == whole
    apart = [layer({name: content}) for name, content in FILES.items()]
    assert digest(tmp_path, *apart) == whole
    assert digest(tmp_path, layer(FILES), config={**CONFIG, "Labels": {}}) == whole


@pytest.mark.parametrize(
    "other",
    [
        layer({**FILES, "opt/b.py": b"2"}),
        layer({**FILES, "opt/c.py": b""}),
        layer({"opt/a.py": b"one"}),
        layer(FILES, mode=0o755),
        layer(FILES, owner=1),
    ],
)
def test_contents_names_modes_and_owners_do(tmp_path: Path, other: bytes) -> None:
    assert digest(tmp_path, other) != digest(tmp_path, layer(FILES))


@pytest.mark.parametrize("changed", [{"Env": []}, {"Cmd": ["other"]}, {"User": "1"}])
def test_how_it_starts_does(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert digest(tmp_path, layer(FILES), config=CONFIG | changed) != digest(tmp_path, layer(FILES))


def test_what_a_later_layer_takes_away_is_not_there(tmp_path: Path) -> None:
    below = layer({**FILES, "opt/old/x": b"", "opt/old/y": b"", "tmp/z": b""})
    gone = layer({"opt/.wh.old": b"", "tmp/.wh..wh..opq": b""})
    assert digest(tmp_path, below, gone) == digest(tmp_path, layer(FILES))
    # A name that only begins alike stays.
    near = layer({**FILES, "opt/older": b""})
    assert digest(tmp_path, near, gone) == digest(tmp_path, near)
