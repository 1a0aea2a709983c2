"""What the API server's refusals become."""

import json
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException

from harebell_operator.kube import Kube, RefusedError


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (json.dumps({"kind": "Status", "message": "exceeded quota"}), "403 Forbidden: exceeded quota"),
        ("not JSON", "403 Forbidden: not JSON"),
        (json.dumps(["no", "Status"]), '403 Forbidden: ["no", "Status"]'),
        (None, "403 Forbidden: "),
    ],
)
async def test_a_refusal_is_told_in_the_api_server_s_words(body: str | None, told: str) -> None:
    class Refusing:
        async def create_namespaced_pod(self, *_: Any, **__: Any) -> None:
            error = ApiException(status=403, reason="Forbidden")
            error.body = body
            raise error

    api: Any = None
    kube = Kube(api, "ns")
    kube._core = Refusing()  # type: ignore[assignment]
    with pytest.raises(RefusedError) as raised:
        await kube.create_pod({})
    assert str(raised.value) == told
