"""What a cluster lacks for a fleet: definitions, their version, roles, an operator that acts."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

from voicefleet.cli.doctor.finding import Finding, bad, good, unknown
from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS, Kind
from voicefleet_operator.kube.cluster import Cluster, Document
from voicefleet_operator.kube.endpoints import Endpoint
from voicefleet_operator.kube.errors import Forbidden, KubernetesError, NotFound

_CRDS: Final = Endpoint("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", False)
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
NEEDS: Final = (
    ("get", "", "secrets", "", "the fleet's key: for calls, call, trace, drain, and the checks of relays"),
    ("get", "", "services", "proxy", "to ask signaling: for status, calls, call, trace"),
    ("delete", "", "pods", "", "to drain"),
    *(("list", "voicefleet.dev", kind.plural, "", "to find fleets") for kind in KINDS.values()),
)
"""Verb, API group, resource, subresource, and what it is for."""


async def examine(cluster: Cluster, namespace: str) -> AsyncIterator[Finding]:
    """All that can be seen without the fleet."""
    for found in await asyncio.gather(*(_definition(cluster, kind) for kind in KINDS.values())):
        yield found
    for lacking in await asyncio.gather(*(_right(cluster, namespace, need) for need in NEEDS)):
        if lacking is not None:
            yield lacking
    for kind in ("VoiceFleet", "RelayPool", "TransceiverShard"):
        try:
            objects = await cluster.list(Endpoint("voicefleet.dev/v1alpha1", kind, KINDS[kind].plural), namespace)
        except KubernetesError:
            continue  # said above
        for each in objects:
            for finding in conditions(kind, each):
                yield finding


async def _definition(cluster: Cluster, kind: Kind) -> Finding:
    about = f"CRD {kind.crd}"
    install = "install the CRDs of this version: kubectl apply --server-side -f crds/"
    try:
        found = await cluster.get(_CRDS, None, kind.crd)
    except NotFound:
        return bad(about, "the cluster does not know this kind", install)
    except Forbidden:
        try:
            await cluster.list(Endpoint("voicefleet.dev/v1alpha1", kind.name, kind.plural), "default")
        except NotFound:
            return bad(about, "the cluster does not know this kind", install)
        except KubernetesError:
            pass
        return unknown(about, "you may not read definitions, so its version is not known")
    except KubernetesError as error:
        return unknown(about, str(error))
    return good(about, "is of this version") if same(found, kind) else bad(about, "is of another version", install)


def same(found: Document, kind: Kind) -> bool:
    """Whether a definition says what this version's says; what the API server adds does not count."""
    theirs = {each["name"]: each.get("schema") for each in found["spec"]["versions"]}
    ours = {each["name"]: each["schema"] for each in definition(kind)["spec"]["versions"]}
    return all(_contains(theirs.get(name), schema) for name, schema in ours.items())


def _contains(theirs: Any, ours: Any) -> bool:
    if isinstance(ours, Mapping):
        if not isinstance(theirs, Mapping):
            return not ours and theirs is None
        extra = theirs.get("properties", {}).keys() - ours.get("properties", {}).keys() if "properties" in ours else ()
        return not extra and all(_contains(theirs.get(name), each) for name, each in ours.items())
    if isinstance(ours, list):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(_contains, theirs, ours))
    return bool(theirs == ours)


async def _right(cluster: Cluster, namespace: str, need: tuple[str, str, str, str, str]) -> Finding | None:
    verb, group, resource, sub, purpose = need
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": sub}
    try:
        answer = await cluster.review({"spec": {"resourceAttributes": attributes}}, _REVIEWS)
    except KubernetesError as error:
        return unknown("roles", str(error))
    if answer.get("status", {}).get("allowed"):
        return None
    name = f"{resource}/{sub}" if sub else resource
    what = f"you may not {verb} {name} in {namespace}: {purpose}"
    return bad("roles", what, f"ask for a role that allows: {verb} {name}" + (f" ({group})" if group else ""))


def conditions(kind: str, found: Document) -> Iterator[Finding]:
    """What the operator says of an object."""
    about = f"{kind} {found['metadata']['name']}"
    status = found.get("status") or {}
    ready = next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), None)
    if ready is None:
        yield bad(
            about, "no operator has looked at it", "run the operator: python -m voicefleet_operator, or the chart"
        )
    elif ready["status"] != "True":
        yield bad(about, f"is not ready: {ready['message'] or ready['reason']}", "see kubectl describe of it")
    else:
        yield good(about, "is ready")
    tiers = {each["reason"]: each["message"] for each in status.get("conditions", ()) if each["type"] == "Degraded"}
    if "KernelTier" in tiers:
        yield bad(about, tiers["KernelTier"], "see docs/architecture.md, Kernel tier")
