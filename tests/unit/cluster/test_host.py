"""What the tool reads from the machine and what it takes away again."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.cluster import daemon, golang, images, leftovers, node_image, packages, paths, transfer


def test_missing_capability_is_seen() -> None:
    assert daemon.lacks_sys_resource("CapEff:\t0\nCapBnd:\t000001fffeffffff\n")
    assert not daemon.lacks_sys_resource("CapBnd:\t000001ffffffffff\n")


def test_go_versions_compare() -> None:
    assert golang.parse_version("go version go1.26.8 linux/amd64") == (1, 26, 8)
    assert golang.parse_version("go version go1.27 linux/amd64") > (1, 26, 9)
    assert golang.parse_version("nonsense") < (1, 0, 0)


def test_the_mirror_is_debians_own_archive() -> None:
    listing = "Other Other https://other.test/\nDebian Debian-Security http://m.test/security/\nDebian Debian http://m.test/debian/\n"
    assert packages.pick_mirror(listing) == "http://m.test/debian/"
    assert packages.pick_mirror("Ubuntu Ubuntu http://u.test/\n") is None


def test_mounts_are_undone_innermost_first() -> None:
    table = "x /c/docker/a o 0 0\nx /c/docker/a/b o 0 0\nx /c/docker-else/a o 0 0\nx /c/docker o 0 0\n"
    assert leftovers.mounts_below(table, ["/c/docker"]) == ["/c/docker/a/b", "/c/docker/a"]


def test_only_docker_s_own_rules_are_undone() -> None:
    before = ["-P FORWARD ACCEPT", "-A FORWARD -s 192.0.2.1/32 -j DROP"]
    now = [
        "-P FORWARD DROP",
        "-N DOCKER",
        "-A FORWARD -s 192.0.2.1/32 -j DROP",
        "-A FORWARD -o docker0 -j DOCKER",
        "-A INPUT -s 192.0.2.2/32 -j DROP",
    ]
    assert leftovers.rules_to_undo(before, now, ["docker0"]) == [
        ["-D", "FORWARD", "-o", "docker0", "-j", "DOCKER"],
        ["-F", "DOCKER"],
        ["-X", "DOCKER"],
        ["-P", "FORWARD", "ACCEPT"],
    ]


def test_a_long_cache_path_does_not_make_a_socket_path_too_long() -> None:
    assert paths.docker_runtime(Path("/short/run")) == Path("/short/run")
    assert len(str(paths.docker_runtime(Path("/long" * 20)))) < paths.LONGEST_SOCKET_FOLDER


def test_the_base_stage_is_taken_alone_and_without_flags() -> None:
    text = "ARG B=x\nFROM $B AS base\nCOPY --chmod=0755 a /a\nRUN true\nFROM $B AS other\nRUN false\n"
    assert node_image.base_stage(text) == "ARG B=x\nFROM $B AS base\nCOPY a /a\nRUN true\n"


def test_an_image_s_tag_follows_base_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    seen = {
        images.context_key(tmp_path, files, base) for files in (["a"], ["b"], ["a", "b"]) for base in "xy"
    }
    assert len(seen) == 6
    (tmp_path / "a").write_text("2")
    assert images.context_key(tmp_path, ["a"], "x") not in seen
    assert images.context_archive(tmp_path, ["a"]) == images.context_archive(tmp_path, ["a"])


def test_known_layers_are_left_out_of_what_nodes_are_sent(tmp_path: Path) -> None:
    def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))

    listing = [{"Config": "c.json", "RepoTags": ["harebell/x:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]
    with tarfile.open(tmp_path / "saved", "w") as archive:
        for name, data in (("c.json", b"{}"), ("a/layer.tar", b"old"), ("b/layer.tar", b"new")):
            add(archive, name, data)
        add(archive, "manifest.json", json.dumps(listing).encode())
    old, new = (hashlib.sha256(data).hexdigest() for data in (b"old", b"new"))
    transfer.convert(tmp_path / "saved", tmp_path / "sent", {f"sha256:{old}"})
    with tarfile.open(tmp_path / "sent") as archive:
        assert f"blobs/sha256/{new}" in archive.getnames()
        assert f"blobs/sha256/{old}" not in archive.getnames()
        index = json.loads((archive.extractfile("index.json") or io.BytesIO()).read())
    assert index["manifests"][0]["annotations"] == {transfer.NAME: "docker.io/harebell/x:1"}


def test_image_names_are_completed_as_container_runtimes_do() -> None:
    assert transfer.reference("redis:7") == "docker.io/library/redis:7"
    assert transfer.reference("harebell/agent:1") == "docker.io/harebell/agent:1"
    assert transfer.reference("localhost:5000/a:1") == "localhost:5000/a:1"
    assert transfer.reference("registry.test/a:1") == "registry.test/a:1"
