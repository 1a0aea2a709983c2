"""What the process shows: probes, metrics, log lines."""

import asyncio
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from aiohttp import ClientSession, test_utils

from harebell_agent import logs
from harebell_agent.errors import SettingsError
from harebell_agent.metrics import Metrics
from harebell_agent.probes import application, serving

from .support import TASK


async def test_probes_and_metrics() -> None:
    reasons: list[str | None] = ["not registered yet"]
    metrics = Metrics()
    metrics.tasks.labels("text.stats", "Succeeded").inc()
    served = application(lambda: reasons[0], metrics.registry)
    async with test_utils.TestClient(test_utils.TestServer(served)) as client:
        assert (await client.get("/healthz")).status == 200
        unready = await client.get("/readyz")
        assert unready.status == 503
        assert (await unready.json())["reason"] == "not registered yet"
        reasons[0] = None
        assert (await client.get("/readyz")).status == 200
        text = await (await client.get("/metrics")).text()
    assert 'harebell_agent_tasks_total{action="text.stats",outcome="Succeeded"} 1.0' in text
    assert "harebell_agent_current_tasks 0.0" in text


async def test_a_port_that_is_taken_is_a_wrong_setting() -> None:
    port = test_utils.unused_port()
    served = application(lambda: None, Metrics().registry)
    async with serving(served, port), ClientSession() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status == 200
        with pytest.raises(SettingsError, match=f"HAREBELL_PORT: cannot serve on port {port}"):
            async with serving(application(lambda: None, Metrics().registry), port):
                pass


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    log = logging.getLogger("test.lines")
    log.addHandler(handler)
    yield stream
    log.removeHandler(handler)


async def test_a_log_line_is_one_object_that_names_its_attempt(lines: io.StringIO) -> None:
    log = logging.getLogger("test.lines")
    with logs.about(TASK, 2):
        await asyncio.create_task(asyncio.to_thread(log.warning, "two\nlines"))
    log.warning("outside")
    inside, outside = map(json.loads, lines.getvalue().splitlines())
    assert inside["message"] == "two\nlines"
    assert (inside["task"], inside["uid"], inside["attempt"]) == ("team-a/count-words", TASK.uid, 2)
    assert (inside["level"], inside["logger"]) == ("WARNING", "test.lines")
    assert "task" not in outside


def test_no_credentials_in_log_lines(lines: io.StringIO) -> None:
    try:
        raise ValueError("cannot reach amqp://agent:hunter2@rabbit:5672/v")
    except ValueError:
        logging.getLogger("test.lines").exception("at %s", "amqps://agent:hunter2@rabbit")
    assert "hunter2" not in lines.getvalue()
    line = json.loads(lines.getvalue())
    assert line["message"] == "at amqps://***@rabbit"
    assert "amqp://***@rabbit:5672/v" in line["error"]


def test_a_process_without_a_broker_waits_says_so_and_ends_when_told() -> None:
    environment = {
        **os.environ,
        "HAREBELL_AMQP_URL": f"amqp://agent:hunter2@127.0.0.1:{test_utils.unused_port()}/",
        "HAREBELL_PORT": "0",
    }
    arguments = [sys.executable, "-m", "harebell_agent", "--type", "text", "--id", "text-1"]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        seen = [json.loads(next(process.stdout)) for _ in range(3)]
        assert any("broker connection lost" in line["message"] for line in seen)
        told = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(20) == 0
    assert time.monotonic() - told < 10
    assert "hunter2" not in json.dumps(seen) + rest
