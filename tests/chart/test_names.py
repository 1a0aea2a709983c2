"""Names that YAML would take for numbers or booleans: they are names all the same."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.chart import CHART, run_helm
from tests.verify.chart import conform, tools

NUMBER = "123"
IMAGE: dict[str, Any] = {"repository": "12", "tag": "34"}
PLACED: dict[str, Any] = {"priorityClassName": NUMBER}
CERTIFICATE: dict[str, Any] = {"existingAmqpCertSecret": NUMBER}
EXPOSED: dict[str, Any] = {
    "service": {"type": "ClusterIP"},
    "ingress": {"enabled": True, "className": NUMBER},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": NUMBER}]},
    "kubernetesTokens": {"enabled": True, "audience": NUMBER},
}
BOTH: dict[str, Any] = {
    "agents": {"no": {}, NUMBER: {}, "other": {"type": "on", "module": "null"}},
    "agentDefaults": PLACED | {"image": IMAGE},
    "operator": PLACED | {"replicas": 2, "image": IMAGE},
    "archiver": PLACED,
    "monitoring": {"enabled": True, "rules": {"runbookUrl": NUMBER}},
    "networkPolicy": {"agents": {"openEgress": False}},
    "api": EXPOSED,
}
EMBEDDED: dict[str, Any] = PLACED | {"image": IMAGE, "persistence": {"storageClassName": NUMBER}}
VALUES: dict[str, dict[str, Any]] = {
    "embedded": BOTH | {"rabbitmq": {"embedded": EMBEDDED}, "postgresql": {"embedded": EMBEDDED}},
    "alone": BOTH
    | {"fullnameOverride": NUMBER, "rabbitmq": {"embedded": {"tls": {"existingSecret": NUMBER}}}},
    "external": BOTH
    | {
        "serviceAccount": {"name": NUMBER},
        "api": EXPOSED | {"existingSecret": NUMBER},
        "operator": BOTH["operator"] | CERTIFICATE,
        "agentDefaults": BOTH["agentDefaults"] | CERTIFICATE | {"existingAmqpSecret": NUMBER},
        "archiver": BOTH["archiver"] | CERTIFICATE | {"existingAmqpSecret": NUMBER},
        "rabbitmq": {
            "embedded": {"enabled": False},
            "external": {"existingSecret": NUMBER, "caKey": NUMBER},
        },
        "postgresql": {
            "embedded": {"enabled": False},
            "external": {"existingSecret": NUMBER, "existingReaderSecret": NUMBER},
        },
    },
}


@pytest.fixture(scope="module", autouse=True)
def there() -> None:
    """A first run may have to build them, which takes longer than a test may."""
    tools()


@pytest.mark.parametrize("values", VALUES)
def test_they_are_rendered_as_texts(values: str, tmp_path: Path) -> None:
    done = run_helm("template", "42", str(CHART), "--namespace", "4711", values=VALUES[values])
    assert done.returncode == 0, done.stderr
    file = tmp_path / "rendered.yaml"
    # As it is, not as another parser of YAML would write it.
    file.write_text(done.stdout)
    assert conform([file]) is None
