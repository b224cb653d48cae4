"""Where somebody outside of a cluster posts offers to a fleet: to its host, its load balancer, or a port of a node."""

from collections.abc import Iterator, Sequence

from voicefleet_operator.kube.cluster import Document


def way_in(fleet: Document, service: Document, nodes: Sequence[Document]) -> str:
    """The URL of its signaling, of the best way that it has; nothing if it has none. `nodes` are the cluster's."""
    host = fleet.get("spec", {}).get("signaling", {}).get("host", "")
    if host:
        return f"https://{host}"
    port: Document = next(iter(service.get("spec", {}).get("ports") or ()), {})
    for each in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        return _url(each.get("ip") or each.get("hostname", ""), port.get("port", 80))
    addresses = [each for node in nodes if _is_ready(node) for each in _addresses(node)]
    addresses.sort(key=lambda each: each["type"] != "ExternalIP")
    if port.get("nodePort") and addresses:
        return _url(addresses[0]["address"], port["nodePort"])
    return ""


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}{'' if port == 80 else f':{port}'}"


def _is_ready(node: Document) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _addresses(node: Document) -> Iterator[Document]:
    for each in node.get("status", {}).get("addresses") or ():
        if each["type"] in ("ExternalIP", "InternalIP"):
            yield each
