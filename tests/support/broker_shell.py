"""Expressions that a node of RabbitMQ evaluates.

``rabbitmqctl`` starts an Erlang of its own, which takes a processor for a second; suites make and delete many
virtual hosts. ``erl_call`` comes with Erlang and starts none.
"""

from uuid import uuid4

from .kubectl import CommandFailed, Kubectl

_EVALUATE = """
if command -v erl_call >/dev/null
then exec erl_call -name "$RABBITMQ_NODENAME" -h "$0" -timeout 60 -e
else exec rabbitmqctl -q eval "$(cat)"
fi
"""
_DONE = {"{ok, done}", "done"}
"""As the one prints it, and as the other does."""


def evaluate(kubectl: Kubectl, expressions: str, pod: str = "rabbit-rabbitmq-0") -> None:
    """Have a node evaluate Erlang expressions. :raises CommandFailed: one failed, or no node is there."""
    # A node refuses a second caller of the same name; the random names of erl_call meet.
    caller = f"tests-{uuid4().hex}"
    said = kubectl("exec", "-i", pod, "--", "sh", "-c", _EVALUATE, caller, stdin=f"{expressions}, done.\n")
    if said.strip() not in _DONE:
        raise CommandFailed(f"{pod}: {said.strip()}")
