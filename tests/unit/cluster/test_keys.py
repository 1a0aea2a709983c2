"""What a cached artefact is known by."""

from pathlib import Path

from tests.cluster import keys, node_image, rootfs
from tests.cluster.versions import BINARIES, CHART_CHECKS, NODE_BINARIES, Binary


def test_parts_are_kept_apart() -> None:
    assert keys.digest(["ab", "c"]) != keys.digest(["a", "bc"])
    assert keys.digest(["ab", "c"]) == keys.digest([b"ab", b"c"])


def test_a_binary_is_built_again_when_its_version_or_linker_flags_change() -> None:
    first = Binary("x", "1.0", "example.test/x")
    assert keys.binary_key(first) != keys.binary_key(Binary("x", "1.1", "example.test/x"))
    assert keys.binary_key(first) != keys.binary_key(Binary("x", "1.0", "example.test/x", linker="-s"))


def test_module_files_belong_to_the_key() -> None:
    traefik = BINARIES["traefik"]
    plain = Binary(traefik.name, traefik.version, traefik.package)
    assert traefik.modules
    assert keys.binary_key(traefik) != keys.binary_key(plain)


def test_tree_sees_names_modes_and_contents(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    seen = {keys.tree(tmp_path)}
    file.chmod(0o755)
    seen.add(keys.tree(tmp_path))
    file.write_text("2")
    seen.add(keys.tree(tmp_path))
    file.rename(tmp_path / "b")
    seen.add(keys.tree(tmp_path))
    assert len(seen) == 4


def test_publish_never_shows_a_half_made_folder(tmp_path: Path) -> None:
    target = tmp_path / "thing"

    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    try:
        keys.publish(target, interrupted)
    except KeyboardInterrupt:
        assert not target.exists()
    keys.publish(target, lambda folder: (folder / "whole").touch())
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_the_node_image_follows_the_server_images() -> None:
    assert rootfs.RABBITMQ_SERVER in node_image.BASE_IMAGES
    assert rootfs.POSTGRESQL_SERVER in node_image.BASE_IMAGES
    assert not {"kind", "kwok", *CHART_CHECKS} & set(NODE_BINARIES)
