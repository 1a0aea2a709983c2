"""python -m tests.cluster COMMAND: a local Kubernetes cluster for this repository's tests."""

from __future__ import annotations

import argparse
import shlex
import sys

from . import api, existing, golang, paths, ports, status, way
from .progress import Problem, say, set_log_folder
from .versions import BINARIES

COMMANDS = {
    "up": "make sure a healthy cluster runs",
    "down": "remove the cluster and what belongs to it; the cache stays",
    "status": "show what is running, versions and cache sizes",
    "images": "build the product's images if they changed and load them into the nodes",
    "reclaim": "empty the volumes whose claims are gone",
    "kubeconfig": "print the path of the kubeconfig",
    "ingress-url": "print the address of the ingress controller",
    "env": "print export lines for a shell",
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    top.add_argument("--name", default=ports.DEFAULT_NAME, help="the cluster's name (default: %(default)s)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, description=text)
    text = "print the path of a tool, building it first where needed"
    tool = commands.add_parser("tool", help=text, description=text)
    tool.add_argument("tool", choices=sorted(BINARIES), metavar="NAME", help="kubectl, helm, kind, kwok, ...")
    load = commands.add_parser("load", help="load an image from Docker into the nodes")
    load.add_argument("image", metavar="NAME:TAG")
    return top


def perform(options: argparse.Namespace) -> None:
    name: str = options.name
    match options.command:
        case "up":
            cluster = api.up(name)
            what = "The existing cluster answers" if way.existing() else f"The cluster {name} is up"
            say(f"{what}: kubeconfig {cluster.kubeconfig}, ingress {cluster.ingress_url or 'unknown'}")
        case "down":
            api.down(name)
            say("An existing cluster is left alone." if way.existing() else f"The cluster {name} is down.")
        case "status":
            for line in status.lines(name):
                print(line)
        case "images":
            for variable, image in api.get(name).images().variables().items():
                print(f"{variable}={image}")
        case "load":
            print(api.get(name).load_image(options.image))
        case "reclaim":
            api.get(name).reclaim()
        case "kubeconfig":
            print(existing.kubeconfig() if way.existing() else paths.kubeconfig(name))
        case "ingress-url":
            print(existing.ingress_url() if way.existing() else api.get(name).ingress_url)
        case "tool":
            print(existing.tool(options.tool) if way.existing() else golang.tool(options.tool))
        case "env":
            for variable, value in api.get(name).env.items():
                print(f"export {variable}={shlex.quote(value)}")


def main() -> int:
    options = parser().parse_args()
    paths.cache().mkdir(parents=True, exist_ok=True)
    set_log_folder(paths.cache() / "logs")
    try:
        perform(options)
    except Problem as problem:
        say(f"{problem}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted; the next run goes on from here.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
