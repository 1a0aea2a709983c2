"""Spares the process what the Kubernetes client does for nothing.

The package ``kubernetes`` imports its synchronous half, with an HTTP client and OAuth of its own, for whoever
imports the asynchronous one: 190 modules and 6 MiB. The asynchronous one has aiohttp look for a proxy and a
``.netrc`` before every request, in other threads, which takes longer than the request.
"""

import importlib.util
import sys
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


class Configuration(Protocol):
    """Of the client's configuration, what is set here."""

    host: str
    """The API server's URL."""
    proxy: str | None
    client_session_kwargs: dict[str, Any] | None


def without_synchronous_client() -> None:
    """Have ``kubernetes.aio`` found without running ``kubernetes/__init__.py``.

    To be called before anything imports ``kubernetes``. Whoever asks for another part of it by name, as in
    ``from kubernetes import client``, still gets it.

    :raises ModuleNotFoundError: the package is not installed.
    """
    if "kubernetes" in sys.modules:
        return
    spec = importlib.util.find_spec("kubernetes")
    if spec is None:
        raise ModuleNotFoundError("the package kubernetes is not installed", name="kubernetes")
    sys.modules["kubernetes"] = importlib.util.module_from_spec(spec)


def with_proxy_of_environment(configuration: Configuration) -> None:
    """Take the proxy from the environment now (``HTTPS_PROXY``, ``NO_PROXY``), unless one is configured.

    To be called when the configuration is complete. A ``.netrc`` is not looked for: it has no place here.
    """
    url = urlsplit(configuration.host)
    if not configuration.proxy and url.hostname and not proxy_bypass(url.hostname):
        configuration.proxy = getproxies().get(url.scheme)
    configuration.client_session_kwargs = {"trust_env": False}
