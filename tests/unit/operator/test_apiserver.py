"""What the API server's answers become."""

import json
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest

from harebell_operator.apiserver import (
    PAGE,
    AlreadyExistsError,
    ApiServer,
    KubeError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    refusal,
)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (json.dumps({"kind": "Status", "message": "exceeded quota"}), "403 Forbidden: exceeded quota"),
        ("not JSON", "403 Forbidden: not JSON"),
        (json.dumps(["no", "Status"]), '403 Forbidden: ["no", "Status"]'),
        ("", "403 Forbidden: "),
    ],
)
def test_a_refusal_is_told_in_the_api_server_s_words(body: str, told: str) -> None:
    assert str(refusal(403, "Forbidden", body.encode())) == told


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError),
        (401, KubeError),
        (403, RefusedError),
        (404, NotFoundError),
        (409, AlreadyExistsError),
        (413, RefusedError),
        (422, RefusedError),
        (429, KubeError),
        (500, KubeError),
        (503, KubeError),
    ],
)
def test_what_a_status_means(status: int, kind: type[KubeError]) -> None:
    assert type(refusal(status, "Reason", b"")) is kind


class Answer:
    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.reason, self._body = status, "Reason", body

    async def read(self) -> bytes:
        return self._body

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Client:
    """Answers requests one after the other, and keeps what was asked."""

    def __init__(self, *answers: tuple[int, Any] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def param_serialize(self, method: str, path: str, **rest: Any) -> tuple[Any, ...]:
        self.asked.append({"method": method, "path": path, **rest})
        return method, path, {}, rest["body"], None

    async def call_api(self, *_: Any, **__: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return SimpleNamespace(
            response=Answer(status, body if isinstance(body, bytes) else json.dumps(body).encode())
        )


async def test_a_list_is_read_page_by_page() -> None:
    client: Any = Client(
        (200, {"metadata": {"continue": "more"}, "items": [{"a": 1}]}),
        (200, {"metadata": {}, "items": [{"a": 2}]}),
    )
    pages = ApiServer(client).pages("/things", labelSelector="x")
    assert [page async for page in pages] == [[{"a": 1}], [{"a": 2}]]
    queries = [dict(asked["query_params"]) for asked in client.asked]
    assert queries == [
        {"labelSelector": "x", "limit": PAGE},
        {"labelSelector": "x", "limit": PAGE, "continue": "more"},
    ]


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (TimeoutError(), NoAnswerError, "TimeoutError"),
        (ConnectionResetError("gone"), NoAnswerError, "ConnectionResetError: gone"),
        ((200, b"<html>"), KubeError, "not JSON"),
        ((503, {"message": "later"}), KubeError, "503 Reason: later"),
    ],
)
async def test_what_may_be_asked_again_is_no_refusal(answer: Any, error: type[KubeError], told: str) -> None:
    client: Any = Client(answer)
    with pytest.raises(KubeError) as raised:
        await ApiServer(client).request("GET", "/things")
    assert type(raised.value) is error
    assert told in str(raised.value)
