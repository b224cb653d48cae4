"""A load against a cluster finds signaling where a client outside would."""

from typing import Any

from voicefleet.cli.load.way_in import way_in


def service(ip: str = "", node_port: int | None = 30088) -> dict[str, Any]:
    port: dict[str, Any] = {"port": 80} | ({"nodePort": node_port} if node_port else {})
    return {"spec": {"ports": [port]}, "status": {"loadBalancer": {"ingress": [{"ip": ip}]} if ip else {}}}


def node(ready: str = "True", **addresses: str) -> dict[str, Any]:
    told = [{"type": kind, "address": address} for kind, address in addresses.items()]
    return {"status": {"conditions": [{"type": "Ready", "status": ready}], "addresses": told}}


FLEET: dict[str, Any] = {"spec": {}}
NODE = node(Hostname="a", InternalIP="10.0.0.1")


def test_the_host_that_clients_use_comes_first() -> None:
    assert way_in({"spec": {"signaling": {"host": "voice.example"}}}, service("192.0.2.1"), [NODE]) == (
        "https://voice.example"
    )


def test_then_the_load_balancer() -> None:
    assert way_in(FLEET, service("192.0.2.1"), [NODE]) == "http://192.0.2.1"
    assert way_in(FLEET, service("2001:db8::1"), [NODE]) == "http://[2001:db8::1]"


def test_then_a_port_of_a_ready_node_at_its_outer_address_if_it_has_one() -> None:
    assert way_in(FLEET, service(), [NODE]) == "http://10.0.0.1:30088"
    outer = node(InternalIP="10.0.0.2", ExternalIP="192.0.2.2")
    assert way_in(FLEET, service(), [NODE, outer]) == "http://192.0.2.2:30088"
    assert way_in(FLEET, service(), [node(ready="Unknown", InternalIP="10.0.0.3"), NODE]) == "http://10.0.0.1:30088"


def test_a_fleet_that_is_for_its_cluster_alone_has_no_way_in() -> None:
    assert way_in(FLEET, service(node_port=None), [NODE]) == ""
    assert way_in(FLEET, service(), []) == ""
    assert way_in(FLEET, {}, [NODE]) == ""
