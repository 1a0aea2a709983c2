"""The product's images: built twice they are the same, and their documents list what is in them."""

import json
from pathlib import Path

import pytest
from tests.cluster import images as building
from tests.cluster.api import Cluster, Images
from tests.cluster.images import PRODUCTS, Product
from tests.cluster.paths import REPOSITORY
from tests.supply import inventory, sbom

pytestmark = pytest.mark.timeout(900)


def built(images: Images, product: Product) -> str:
    return images.agent if product.name.endswith("agent") else images.control_plane


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: str(product.name))
def test_a_second_build_has_the_same_content(cluster: Cluster, images: Images, product: Product) -> None:
    docker = cluster.docker
    base, _ = building.python_base(docker, cluster.way)
    archive = building.context_archive(REPOSITORY, building.context_files(REPOSITORY, product.inputs))
    again = f"{product.name}:built-again"
    try:
        building.build_anyway(docker, product, base, again, archive, "--no-cache")
        # Layers that the builder had kept would prove nothing.
        assert docker.image_id(again) != docker.image_id(built(images, product))
        assert sbom.digest(docker, again) == sbom.digest(docker, built(images, product))
    finally:
        docker.succeeds("rmi", again, timeout=60)


def test_documents_list_what_is_in_the_images(cluster: Cluster, images: Images, tmp_path: Path) -> None:
    files = {file.name: json.loads(file.read_text()) for file in sbom.write(tmp_path)}
    assert files.keys() == {"control-plane.cdx.json", "agent.cdx.json"}
    for product in PRODUCTS:
        made = files[f"{product.name.rsplit('/', 1)[1]}.cdx.json"]
        held = inventory.take(cluster.docker, built(images, product))
        listed = {each["purl"].split("?")[0] for each in made["components"]}
        assert {f"pkg:pypi/{name}@{version}" for name, version in held.python.items()} <= listed
        debian = {each["name"] for each in made["components"] if each["purl"].startswith("pkg:deb/")}
        assert debian == {package.name for package in held.debian}
        assert "libc6" in debian
