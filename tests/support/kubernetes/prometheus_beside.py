"""Prometheus beside a node, scraping fleets' pods as their PodMonitors ask; and its metrics for autoscalers."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.kubernetes.external_metrics import VERSION
from tests.support.kubernetes.one_node import NODE_ADDRESS, OneNode
from tests.support.promtool import prometheus

URL: Final = "http://127.0.0.1:9090"
PORT: Final = 6444
NAME: Final = {"name": "external-metrics", "namespace": "kube-system"}


@contextmanager
def external_metrics(cluster: OneNode, values: Path) -> Iterator[None]:
    """An API of external metrics by the rules of an adapter's values, out of a Prometheus that runs meanwhile."""
    configuration = cluster.folder / "prometheus.yaml"
    configuration.write_text(yaml.safe_dump(_configuration(cluster)))
    server = (
        str(prometheus()),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={cluster.folder / 'prometheus'}",
    )
    adapter = (sys.executable, "-m", "tests.support.kubernetes.external_metrics", str(values), URL)
    certificate = (str(cluster.folder / "api.crt"), str(cluster.folder / "api.key"))
    with (
        cluster.beside("prometheus", *server, f"--web.listen-address={URL.rpartition('/')[2]}"),
        cluster.beside("adapter", *adapter, NODE_ADDRESS, str(PORT), *certificate, str(cluster.kubeconfig)),
    ):
        cluster.apply(*_api())
        service = f"apiservice/{VERSION.partition('/')[2]}.{VERSION.partition('/')[0]}"
        cluster.must("wait", "--for=condition=Available", service, "--timeout=120s")
        try:
            yield
        finally:
            cluster.must("delete", service)


def answer(cluster: OneNode, query: str) -> float:
    """The one value of a query."""
    told = cluster.node.run("curl", "-sSfG", f"{URL}/api/v1/query", "--data-urlencode", f"query={query}")
    (sample,) = json.loads(told)["data"]["result"]
    return float(sample["value"][1])


def _configuration(cluster: OneNode) -> dict[str, Any]:
    targets: dict[str, Any] = {"url": f"https://{NODE_ADDRESS}:{PORT}/targets", "refresh_interval": "2s"}
    targets |= {"tls_config": {"ca_file": str(cluster.folder / "ca.crt")}}
    job = {"job_name": "fleets", "http_sd_configs": [targets]}
    return {"global": {"scrape_interval": "2s"}, "scrape_configs": [job]}


def _api() -> tuple[dict[str, Any], ...]:
    group, _, version = VERSION.partition("/")
    ports = [{"name": "https", "port": PORT, "protocol": "TCP"}]
    slices = {**NAME, "labels": {"kubernetes.io/service-name": NAME["name"]}}
    return (
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": NAME,
            "spec": {"ports": [{**ports[0], "port": 443, "targetPort": PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": slices,
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
            "spec": {
                "group": group,
                "version": version,
                "service": NAME,
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    )
