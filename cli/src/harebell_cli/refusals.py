"""What the API server refuses, in words that say what to do about it."""

from collections.abc import Mapping
from typing import Any

from harebell_crds import API_VERSION, GROUP

from .connection import Answer
from .errors import RefusedError

_VERBS = {"read": "get", "change": "patch"}


def refusal(answer: Answer, verb: str, plural: str, name: str, namespace: str) -> RefusedError:
    """Return the error for an answer that is no success.

    :param verb: read, list, watch, create or change.
    :param plural: of the resource, such as ``tasks``.
    """
    body = answer.body
    reason = str(body.get("reason") or "") if body.get("kind") == "Status" else ""
    said = str(body.get("message") or f"status {answer.status}")
    return RefusedError(_words(answer, reason, said, verb, plural, name, namespace), answer.status, reason)


def _words(answer: Answer, reason: str, said: str, verb: str, plural: str, name: str, namespace: str) -> str:
    what = f"{_singular(plural)} {name}" if name else plural.capitalize()
    where = f"in namespace {namespace}"
    right = _VERBS.get(verb, verb)
    resource = plural if plural == "events" else f"{plural}.{GROUP}"
    match answer.status:
        case 404 if not reason:
            return (
                f"this cluster does not know {API_VERSION}: harebell is not installed in it. Install its"
                " chart, or name another cluster with --context"
            )
        case 404 if _details(answer.body).get("kind") == "namespaces":
            return f"there is no namespace {namespace}; name another with -n"
        case 404:
            return f"there is no {what} {where}; kubectl get {resource} -n {namespace} shows what there is"
        case 401:
            return (
                f"the Kubernetes API server does not know you: {said}. Log in again, or mend the user of the"
                " kubeconfig's context"
            )
        case 403 if reason == "Forbidden":
            return (
                f"you may not {verb} {what} {where}: {said}. It takes the right to {right} {resource}, which"
                f" the role {'view' if right in ('get', 'list', 'watch') else 'edit'} has"
            )
        case 409 if reason == "AlreadyExists":
            return f"there is a {what} {where} already; choose another name"
        case 409:
            return f"{what} was changed, or replaced, at the same time: look, and try again"
        case 429 | 503 | 504:
            return f"the Kubernetes API server is too busy, or not ready: {said}. Try again later"
        case _:
            return f"cannot {verb} {what} {where}: {said}"


def _singular(plural: str) -> str:
    return {"buses": "Bus"}.get(plural, plural.removesuffix("s").capitalize())


def _details(body: Mapping[str, Any]) -> Mapping[str, Any]:
    details = body.get("details")
    return details if isinstance(details, dict) else {}
