"""Spares the process the half of the Kubernetes client that it does not use.

The package ``kubernetes`` imports its synchronous half, with an HTTP client and OAuth of its own, for whoever
imports the asynchronous one: 190 modules and 6 MiB.
"""

import importlib.util
import sys


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
