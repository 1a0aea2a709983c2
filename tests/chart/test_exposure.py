"""What leads to the API from outside the cluster: an Ingress or an HTTPRoute, and to nothing else."""

import pytest
from tests.support.chart import CHART, GATEWAY, VARIANTS, of_kind, render, run_helm


def test_the_ingress_shows_the_api_and_nothing_else() -> None:
    assert not of_kind(render(), "Ingress")
    resources = render(VARIANTS["exposed"])
    (ingress,) = of_kind(resources, "Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == ("bell.example.org", "/api/v1", "Prefix")
    backend = path["backend"]["service"]
    service = of_kind(resources, "Service")[backend["name"]]
    assert backend["port"] == {"name": service["spec"]["ports"][0]["name"]}


def test_https_of_an_ingress_is_its_secret_that_cert_manager_may_make() -> None:
    (ingress,) = of_kind(render(VARIANTS["secured"]), "Ingress").values()
    assert ingress["spec"]["tls"] == [{"hosts": ["bell.example.org"], "secretName": "bell-tls"}]
    assert ingress["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "public"}


def test_the_route_shows_the_api_and_nothing_else() -> None:
    assert not of_kind(render(), "HTTPRoute")
    resources = render(VARIANTS["routed"])
    (route,) = of_kind(resources, "HTTPRoute").values()
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"]["parentRefs"] == [GATEWAY]
    assert route["spec"]["hostnames"] == ["b.example.org"]
    (rule,) = route["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/api/v1"}}]
    (backend,) = rule["backendRefs"]
    service = of_kind(resources, "Service")[backend["name"]]
    assert backend["port"] == service["spec"]["ports"][0]["port"]


def test_a_route_without_a_gateway_is_refused() -> None:
    done = run_helm("template", "bell", str(CHART), values={"api": {"httpRoute": {"enabled": True}}})
    assert done.returncode != 0
    assert "api.httpRoute.parentRefs" in done.stderr


@pytest.mark.parametrize("kind", ["ingress", "httpRoute"])
def test_neither_shows_health_or_metrics(kind: str) -> None:
    values = {"api": {kind: {"enabled": True, "path": "/", "parentRefs": [GATEWAY]}}}
    if kind == "ingress":
        del values["api"][kind]["parentRefs"]
    done = run_helm("template", "bell", str(CHART), values=values)
    assert done.returncode != 0
    assert f"/api/{kind}/path" in done.stderr
