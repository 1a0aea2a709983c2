"""Checks of the chart as rendered with several values: helm's own, Kubernetes' schemas, and kube-score."""

import functools
import json
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import golang
from tests.cluster.paths import cache
from tests.cluster.progress import Problem, set_log_folder
from tests.cluster.versions import CHART_CHECKS, KUBERNETES
from tests.support.chart import CHART, REPOSITORY, VARIANTS, run_helm

from . import schemas

WAIVERS = Path(__file__).with_name("waivers.toml")
EXAMPLES = REPOSITORY / "docs" / "examples"
OPTIONAL = ("container-ports-check", "container-seccomp-profile")
"""Checks that kube-score does when asked. The others of these want requests to equal limits."""
UNSCORED = ("bare",)
"""Values that switch off what kube-score asks for."""
FINE = 10
"""kube-score's grade for nothing to say; less is a warning or worse."""


@dataclass(frozen=True)
class Waiver:
    """A finding that is meant: of one check, in the objects that a pattern fits whole, as KIND/NAME."""

    check: str
    objects: str
    reason: str

    def covers(self, finding: "Finding") -> bool:
        """Whether it is about this one."""
        return self.check == finding.check and re.fullmatch(self.objects, finding.of) is not None


@dataclass(frozen=True, order=True)
class Finding:
    """What a check says of one object, as KIND/NAME."""

    check: str
    of: str
    text: str


def tools() -> str | None:
    """Have helm and the checking programs, built first where the cache lacks them."""
    set_log_folder(cache() / "logs")
    for name in CHART_CHECKS:
        golang.tool(name)
    return None


def lint() -> str | None:
    """``helm lint --strict`` with each set of values."""

    def problem(name: str) -> str:
        done = run_helm("lint", "--strict", str(CHART), values=VARIANTS[name])
        return f"{name}: {done.stdout}{done.stderr}" if done.returncode else ""

    with ThreadPoolExecutor(2) as workers:
        return "\n".join(told for told in workers.map(problem, VARIANTS) if told) or None


def conforms() -> str | None:
    """What is rendered, and the examples, against Kubernetes' schemas and our definitions."""
    return conform([*_rendered().values(), EXAMPLES])


def conform(files: Sequence[Path]) -> str | None:
    """Check manifests, or folders of them, and return what is wrong."""
    command: list[str | Path] = [
        golang.tool("kubeconform"), "-summary", "-strict",
        "-schema-location", f"{schemas.ensure()}/{schemas.LOCATION}",
    ]  # fmt: skip
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode else None


def score() -> str | None:
    """kube-score over what is rendered: nothing but what is waived, and no waiver without use."""
    found: set[Finding] = set()
    for name, file in _rendered().items():
        if name not in UNSCORED:
            found |= findings(scored(file))
    return judged(found, waivers(WAIVERS.read_text()))


def waivers(text: str) -> list[Waiver]:
    """Read waivers. :raises TypeError: one lacks a field, or has another."""
    return [Waiver(**each) for each in tomllib.loads(text)["waiver"]]


def findings(report: list[dict[str, Any]]) -> set[Finding]:
    """Return what kube-score found, of its JSON."""
    return {
        Finding(
            check["check"]["id"],
            f"{scored['type_meta']['kind']}/{scored['object_meta']['name']}",
            comment.get("summary", check["check"]["name"]),
        )
        for scored in report
        for check in scored["checks"]
        if not check["skipped"] and check["grade"] < FINE
        for comment in check["comments"] or [{}]
    }


def judged(found: set[Finding], waived: list[Waiver]) -> str | None:
    """Return what is wrong: findings that no waiver covers, and waivers that cover nothing."""
    left = sorted(f for f in found if not any(w.covers(f) for w in waived))
    useless = [w for w in waived if not any(w.covers(f) for f in found)]
    lines = [f"{f.of}: {f.text} ({f.check})" for f in left]
    lines += [f"{WAIVERS.name}: {w.check} of {w.objects} is found no more; remove it" for w in useless]
    return "\n".join(lines) or None


def scored(file: Path) -> list[dict[str, Any]]:
    """Return what kube-score says of a file. :raises Problem: nothing that can be read."""
    version = ".".join(KUBERNETES.split(".")[:2])
    command = [str(golang.tool("kube-score")), "score", "--output-format", "json"]
    command += ["--kubernetes-version", f"v{version}"]
    for name in OPTIONAL:
        command += ["--enable-optional-test", name]
    # Its status says only that there is something, which may be waived.
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    try:
        report: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError as error:
        raise Problem(f"kube-score said no JSON: {done.stderr.strip()}") from error
    return report


@functools.cache
def _rendered() -> dict[str, Path]:
    """One file for each set of values, in a folder that stays until the process ends."""
    folder = Path(_folder().name)

    def render(name: str) -> tuple[str, Path]:
        done = run_helm("template", "bell", str(CHART), "--namespace", "agents", values=VARIANTS[name])
        if done.returncode:
            raise Problem(f"{name}: {done.stderr.strip()}")
        file = folder / f"{name}.yaml"
        file.write_text(done.stdout)
        return name, file

    with ThreadPoolExecutor(2) as workers:
        return dict(workers.map(render, VARIANTS))


@functools.cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory()
