"""Images made from Debian packages alone, for machines without an image registry."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import packages
from .docker import Docker
from .keys import digest, tree
from .paths import FILES, work_folder
from .progress import step
from .shell import logged
from .versions import NODE_SUITE, POSTGRESQL, POSTGRESQL_SUITE, PYTHON, PYTHON_SUITE, RABBITMQ, RABBITMQ_SUITE

HOST_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LEFT_OUT = (
    *(f"/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")),
    # PostgreSQL's just-in-time compiler: 190 MB, loaded only where it is there.
    *(
        "/usr/lib/*/libLLVM*",
        "/usr/lib/*/libz3*",
        "/usr/lib/postgresql/*/llvmjit.so",
        "/usr/lib/postgresql/*/bitcode/*",
    ),
)
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class RootFilesystem:
    """An image: a Debian suite, packages, commands run outside the tree ($1 is the tree), Docker settings."""

    name: str
    suite: str
    include: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    settings: tuple[str, ...] = field(default=(f"ENV PATH={SYSTEM_PATH}",))
    files: Path | None = None

    @property
    def tag(self) -> str:
        parts = [
            json.dumps(
                [self.name, self.suite, self.include, self.before, self.after, self.settings, LEFT_OUT]
            )
        ]
        return f"{self.name}-{digest([*parts, tree(self.files) if self.files else ''])}"


def _user(name: str, home: str) -> str:
    # The published images' user and group id, so that one chart serves both.
    passwd = f'echo "{name}:x:999:999::{home}:/bin/sh" >> "$1/etc/passwd"'
    return f'{passwd}; echo "{name}:x:999:" >> "$1/etc/group"'


CERTIFICATES = f'cp {HOST_CERTIFICATES} "$1/etc/ssl/certs/ca-certificates.crt"'
ENTRYPOINT = 'install -m 755 "$FILES/docker-entrypoint.sh" "$1/usr/local/bin/"'

DEBIAN = RootFilesystem(
    f"harebell/debian:{NODE_SUITE}", NODE_SUITE, ("ca-certificates",), after=(CERTIFICATES,)
)
PROXY_BASE = RootFilesystem(
    f"harebell/kube-proxy-base:{NODE_SUITE}", NODE_SUITE, ("iptables", "nftables", "conntrack", "kmod")
)
PYTHON_BASE = RootFilesystem(
    f"harebell/python:{PYTHON}",
    PYTHON_SUITE,
    ("python3", "python3-venv", "ca-certificates"),
    # pip reads this; no environment variable is left in the product's images.
    after=(
        CERTIFICATES,
        'printf "[global]\\ncert = /etc/ssl/certs/ca-certificates.crt\\n" > "$1/etc/pip.conf"',
        'ln -s /usr/bin/python3 "$1/usr/local/bin/python"',
    ),
    settings=(f"ENV PATH={SYSTEM_PATH}", "ENV LANG=C.UTF-8", 'CMD ["python3"]'),
)
RABBITMQ_SERVER = RootFilesystem(
    f"harebell/rabbitmq:{RABBITMQ}",
    RABBITMQ_SUITE,
    ("rabbitmq-server", "adduser", "util-linux"),
    before=(_user("rabbitmq", "/var/lib/rabbitmq"),),
    after=(
        ENTRYPOINT,
        'install -D -m 644 "$FILES/10-defaults.conf" "$1/etc/rabbitmq/conf.d/10-defaults.conf"',
        'chown -R 999:999 "$1/etc/rabbitmq" "$1/var/lib/rabbitmq" "$1/var/log/rabbitmq"',
    ),
    settings=(
        # Ahead of /usr/sbin, whose wrappers insist on one user name.
        f"ENV PATH=/usr/lib/rabbitmq/bin:{SYSTEM_PATH}",
        "ENV LANG=C.UTF-8",
        "ENV HOME=/var/lib/rabbitmq",
        "ENV RABBITMQ_LOGS=-",
        "EXPOSE 4369 5671 5672 15692 25672",
        'ENTRYPOINT ["docker-entrypoint.sh"]',
        'CMD ["rabbitmq-server"]',
    ),
    files=FILES / "rabbitmq",
)
POSTGRESQL_SERVER = RootFilesystem(
    f"harebell/postgresql:{POSTGRESQL}",
    POSTGRESQL_SUITE,
    (f"postgresql-{POSTGRESQL}", "util-linux"),
    before=(
        _user("postgres", "/var/lib/postgresql"),
        'mkdir -p "$1/etc/postgresql-common"',
        'echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"',
    ),
    after=(
        ENTRYPOINT,
        'mkdir -p "$1/var/lib/postgresql/data" "$1/run/postgresql"',
        'chown -R 999:999 "$1/var/lib/postgresql" "$1/run/postgresql"',
        'chmod 3777 "$1/run/postgresql" && chmod 1777 "$1/var/lib/postgresql/data"',
    ),
    settings=(
        f"ENV PATH=/usr/lib/postgresql/{POSTGRESQL}/bin:{SYSTEM_PATH}",
        "ENV LANG=C.UTF-8",
        "ENV PGDATA=/var/lib/postgresql/data",
        "EXPOSE 5432",
        "STOPSIGNAL SIGINT",
        'ENTRYPOINT ["docker-entrypoint.sh"]',
        'CMD ["postgres"]',
    ),
    files=FILES / "postgresql",
)


def arguments(image: RootFilesystem, target: Path, settings: list[str], mirror: str | None) -> list[str]:
    """The mmdebstrap command that makes an image's files."""
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(image.include)}"]
    command += [f"--aptopt={line}" for line in settings]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    command += [f"--essential-hook={hook}" for hook in image.before]
    command += [f"--customize-hook={hook}" for hook in image.after]
    return [*command, image.suite, str(target), *([mirror] if mirror else [])]


def ensure(docker: Docker, image: RootFilesystem) -> str:
    """The image's name, made first where the daemon lacks it."""
    if docker.image_id(image.tag):
        return image.tag
    packages.ensure(packages.ROOT_FILESYSTEMS)
    with (
        step(f"Make {image.name} from Debian {image.suite}"),
        tempfile.TemporaryDirectory(dir=work_folder()) as folder,
    ):
        target = Path(folder) / "root.tar"
        # mmdebstrap drops privileges for downloads.
        Path(folder).chmod(0o755)
        env = {"FILES": str(image.files)} if image.files else {}
        logged(arguments(image, target, packages.apt_settings(), packages.mirror()), env=env)
        bare = docker.run("import", target).strip()
        # Not import's own --change, which knows no STOPSIGNAL.
        dockerfile = "\n".join([f"FROM {bare}", *image.settings])
        docker.run("build", "--tag", image.tag, "-", stdin=dockerfile.encode())
        docker.forget_old(image.name.rsplit(":", 1)[0], 1)
    return image.tag
