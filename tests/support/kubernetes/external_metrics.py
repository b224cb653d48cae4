"""Stands in for prometheus-adapter, which is not to be had as a Go module: external metrics, by a file of its values.

    python -m tests.support.kubernetes.external_metrics VALUES PROMETHEUS ADDRESS PORT CERTIFICATE KEY KUBECONFIG

As the adapter does it: the selector that a HorizontalPodAutoscaler names and its namespace become the label matchers of
the rule's query, and each sample of Prometheus' answer is a value. It also tells Prometheus which pods there are, as
PodMonitors would: Debian's was built without the means to ask Kubernetes itself.
"""

import json
import ssl
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import yaml

from voicefleet.contract import Label

VERSION: Final = "external.metrics.k8s.io/v1beta1"
PASSED_ON: Final = (Label.FLEET, Label.POOL, Label.SHARD)
"""Labels of pods that become labels of what they tell, by the PodMonitors."""


def query(values: dict[str, Any], name: str, namespace: str, selector: str) -> str:
    """What Prometheus is asked."""
    (rule,) = (each for each in values["rules"]["external"] if each["name"]["as"] == name)
    (of_namespace,) = (k for k, v in rule["resources"]["overrides"].items() if v["resource"] == "namespace")
    pairs = [each.split("=", 1) for each in selector.split(",") if each] + [[of_namespace, namespace]]
    return str(rule["metricsQuery"]).replace("<<.LabelMatchers>>", ",".join(f'{key}="{value}"' for key, value in pairs))


class Handler(BaseHTTPRequestHandler):
    """Discovery, and a metric at a time."""

    values: dict[str, Any]
    prometheus: str
    kubeconfig: dict[str, Any]

    def do_GET(self) -> None:
        """Answer the API server."""
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if url.path.rstrip("/") == f"/apis/{VERSION}":
            names = [each["name"]["as"] for each in self.values["rules"]["external"]]
            kind = {"kind": "ExternalMetricValueList", "singularName": "", "namespaced": True, "verbs": ["get"]}
            self._say(
                {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": VERSION,
                    "resources": [{"name": n} | kind for n in names],
                }
            )
        elif parts[:3] == ["apis", *VERSION.split("/")] and len(parts) == 6:
            selector = urllib.parse.parse_qs(url.query).get("labelSelector", [""])[0]
            asked = query(self.values, parts[5], parts[4], selector)
            self._say(
                {
                    "kind": "ExternalMetricValueList",
                    "apiVersion": VERSION,
                    "metadata": {},
                    "items": list(self._values(parts[5], asked)),
                }
            )
        elif url.path == "/targets":
            self._say(list(self._targets()))
        else:
            self.send_error(404)

    def _targets(self) -> Iterator[dict[str, Any]]:
        server = self.kubeconfig["clusters"][0]["cluster"]
        bearer = {"Authorization": f"Bearer {self.kubeconfig['users'][0]['user']['token']}"}
        asked = urllib.request.Request(f"{server['server']}/api/v1/pods?labelSelector={Label.FLEET}", headers=bearer)
        context = ssl.create_default_context(cafile=server["certificate-authority"])
        with urllib.request.urlopen(asked, timeout=10, context=context) as answer:
            pods = json.load(answer)["items"]
        for pod in pods:
            ports = [port for each in pod["spec"]["containers"] for port in each.get("ports", ())]
            for port in ports if "podIP" in pod["status"] else ():
                if port.get("name") == "health":
                    metadata = pod["metadata"]
                    kept = {key: metadata["labels"][key] for key in PASSED_ON if key in metadata["labels"]}
                    labels = {key.replace(".", "_").replace("/", "_"): value for key, value in kept.items()}
                    labels |= {"namespace": metadata["namespace"], "pod": metadata["name"]}
                    yield {"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": labels}

    def _values(self, name: str, asked: str) -> Iterator[dict[str, Any]]:
        where = f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': asked})}"
        with urllib.request.urlopen(where, timeout=10) as answer:
            for each in json.load(answer)["data"]["result"]:
                at, value = each["value"]
                timestamp = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
                metric = {"metricName": name, "metricLabels": each["metric"], "timestamp": timestamp}
                yield metric | {"value": f"{round(1000 * float(value))}m"}

    def _say(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(values: str, prometheus: str, address: str, port: str, certificate: str, key: str, kubeconfig: str) -> None:
    """Serve until somebody ends it."""
    Handler.values, Handler.prometheus = yaml.safe_load(Path(values).read_text()), prometheus
    Handler.kubeconfig = yaml.safe_load(Path(kubeconfig).read_text())
    server = ThreadingHTTPServer((address, int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
