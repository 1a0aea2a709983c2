"""Runs every check, all of them even when one fails, and says at the end which failed."""

import filecmp
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.progress import Problem

from . import chart

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
GENERATED = {
    "harebell_crds.generate": ("crds", "charts/harebell/crds"),
    "harebell_bus.asyncapi": ("docs",),
    "harebell_bus.policies": ("docs",),
    "charts.values": ("charts/harebell",),
    "harebell_api.generate": ("docs",),
    "docs.reference": ("docs",),
}
"""Where each generator writes."""


def generated_is_current() -> str | None:
    """Generate everything beside the checkout and compare."""
    for module, targets in GENERATED.items():
        with tempfile.TemporaryDirectory() as folder:
            generated = command("python", "-m", module, folder)
            if generated is not None:
                return generated
            names = sorted(p.name for p in Path(folder).iterdir())
            for target in targets:
                _, different, missing = filecmp.cmpfiles(folder, ROOT / target, names, shallow=False)
                if different or missing:
                    return f"{target}: {', '.join(different + missing)} differ; run make generate"
    return None


def lock_has_no_address() -> str | None:
    """A lock file must not say where packages come from: every machine has its own registry."""
    for lock in (ROOT / "requirements").glob("*.txt"):
        if "://" in lock.read_text():
            return f"{lock.name} carries an address"
    return None


def agent_is_light() -> str | None:
    """The agent speaks AMQP only: its image must not hold what speaks to Kubernetes."""
    names = {
        line.split("==")[0]
        for line in (ROOT / "requirements" / "agent.txt").read_text().splitlines()
        if "==" in line
    }
    heavy = names & {"kopf", "kubernetes", "fastapi"}
    return f"requirements/agent.txt holds {', '.join(sorted(heavy))}" if heavy else None


def no_shadow() -> str | None:
    """The folder ``operator`` must never become a package: it would shadow the standard library's module."""
    return "operator/__init__.py exists" if (ROOT / "operator" / "__init__.py").exists() else None


def command(*arguments: str) -> str | None:
    """Run a tool of the environment; its output shows only when it fails."""
    done = subprocess.run([str(BIN / arguments[0]), *arguments[1:]], cwd=ROOT, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip() or "failed" if done.returncode else None


CHECKS: dict[str, Callable[[], str | None]] = {
    "generated files are current": generated_is_current,
    "lock files carry no address": lock_has_no_address,
    "the agent is light": agent_is_light,
    "operator is no package": no_shadow,
    "ruff format": lambda: command("ruff", "format", "--check", "."),
    "ruff check": lambda: command("ruff", "check", "."),
    "mypy --strict": lambda: command("mypy"),
    "import-linter": lambda: command("lint-imports"),
    "tools for the chart": chart.tools,
    "helm lint --strict": chart.lint,
    "kubeconform": chart.conforms,
    "kube-score": chart.score,
}


def main() -> int:
    """Run the checks and return the exit status."""
    failed = 0
    for name, check in CHECKS.items():
        begun = time.monotonic()
        try:
            problem = check()
        except Problem as error:
            problem = str(error)
        print(f"{'FAIL' if problem else 'ok':4}  {name}  ({time.monotonic() - begun:.1f} s)", flush=True)
        if problem:
            failed += 1
            print(problem)
    print(f"{len(CHECKS) - failed} checks passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
