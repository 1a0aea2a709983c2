"""What goes into the document of an image, and what keeps it from being written."""

import pytest
from tests.supply.bom import UnpinnedError, component, document, installed_lines, pinned
from tests.supply.inventory import Inventory, Package, normalised, packages, release

LOCK = """\
aio-pika==10.2.1 \\
    --hash=sha256:66 \\
    --hash=sha256:e4
    # via harebell-bus
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:08
typing-extensions==4.16.0 \\
    --hash=sha256:99
"""
PYTHON = {"aio-pika": "10.2.1", "typing-extensions": "4.16.0"}
DEBIAN = (Package("zlib1g", "1:1.3.1+b1", "amd64"), Package("libc6", "2.41-12", "amd64"))
HELD = Inventory(PYTHON, DEBIAN, "13")
MADE = {
    "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
    "specVersion": "1.6",
    "metadata": {"tools": {"components": []}},
    "components": [
        {
            "bom-ref": "requirements-L1",
            "description": "requirements line 1: aio-pika==10.2.1",
            "name": "aio-pika",
            "purl": "pkg:pypi/aio-pika@10.2.1",
            "type": "library",
            "version": "10.2.1",
        }
    ],
}


def test_pins_are_read_by_normalised_names() -> None:
    assert pinned(LOCK) == {**PYTHON, "colorama": "0.4.6"}
    assert {normalised(n) for n in ("typing_extensions", "Typing.Extensions", "typing--extensions")} == {
        "typing-extensions"
    }


def test_what_other_platforms_need_is_left_out_with_its_hashes() -> None:
    text = installed_lines(LOCK, HELD)
    assert "colorama" not in text
    assert "sha256:08" not in text
    assert text.count("--hash=") == 3


def test_what_the_image_brings_itself_needs_no_pin() -> None:
    held = Inventory({**PYTHON, "pip": "26", "harebell-bus": "0.1.0"}, (), "13")
    assert installed_lines(LOCK, held) == installed_lines(LOCK, HELD)


@pytest.mark.parametrize("strange", [{"requests": "2.0"}, {"aio-pika": "10.2.2"}])
def test_what_is_not_pinned_is_told(strange: dict[str, str]) -> None:
    (name,) = strange
    with pytest.raises(UnpinnedError, match=f"{name} {strange[name]}"):
        installed_lines(LOCK, Inventory({**PYTHON, **strange}, (), "13"))


def test_a_document_names_the_image_and_everything_in_it() -> None:
    made = document(MADE, HELD, "harebell/agent", "0.1.0", "sha256:ab")
    assert made["metadata"]["component"]["properties"][0]["value"] == "sha256:ab"
    references = [each["bom-ref"] for each in made["components"]]
    assert references == [
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13",
        "pkg:deb/debian/zlib1g@1:1.3.1%2Bb1?arch=amd64&distro=debian-13",
        "pkg:pypi/aio-pika@10.2.1",
    ]
    assert made["dependencies"][0] == {"ref": "harebell/agent", "dependsOn": references}
    assert all("description" not in each for each in made["components"])
    assert document(MADE, HELD, "harebell/agent", "0.1.0", "sha256:ab") == made


def test_a_package_of_debian_has_its_purl() -> None:
    made = component(DEBIAN[1], "13")
    assert (made["name"], made["version"], made["type"]) == ("libc6", "2.41-12", "library")
    assert made["purl"] == made["bom-ref"]


def test_packages_that_are_only_half_there_are_left_out() -> None:
    listing = "libc6\t2.41\tamd64\tii \nold\t1\tall\trc \nadduser\t3\tall\tii \n"
    assert [p.name for p in packages(listing)] == ["adduser", "libc6"]


def test_the_release_is_read_from_os_release() -> None:
    assert release('NAME="Debian"\nVERSION_ID="13"\n') == "13"
    assert release("VERSION_CODENAME=forky\n") == "forky"
    with pytest.raises(ValueError, match="VERSION_ID"):
        release("NAME=x\n")
