"""The Secrets that a fleet needs: made once with owners, never overwritten, and the key ring rotated when it is due.

What a Secret holds is random, so it is created, not applied: of two operators that create one, the second is told that
it is there. A rotation is written with the version that was read, so two cannot rotate at once.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509

from voicefleet.contract import Label
from voicefleet.wire.certificate import self_signed
from voicefleet.wire.keyring import KeyRing
from voicefleet_operator.kube.endpoints import SECRET
from voicefleet_operator.kube.errors import Conflict
from voicefleet_operator.model.fleet_manifests import redis_files
from voicefleet_operator.model.keys import HANDLED, ROTATE, next_rotation, rotated, rotation_due
from voicefleet_operator.model.manifest import api_keys_name, certificate_name, keys_name, metadata, session_map_name
from voicefleet_operator.model.resources import Fleet
from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.store import Document

CERTIFICATE_LIFE: Final = timedelta(days=90)
RENEW_BEFORE: Final = timedelta(days=30)
RING: Final = "keyring.json"
LOOK_AGAIN: Final = 6 * 3600.0
"""Seconds; timers longer than that are not set."""


@dataclass(frozen=True, slots=True)
class Made:
    """How the fleet's own secrets stand."""

    rotated_at: float
    """When the newest key begins."""
    rotation_handled: str
    """The value of the annotation that was acted on."""
    again: float
    """When the next of them is due."""


async def ensure(context: Context, fleet: Fleet) -> Made:
    """Make what is missing, rotate what is due."""
    now = context.clock()
    if fleet.spec.session_map.type == "Embedded":
        password = context.secret(24).hex()
        await _there(context, fleet, session_map_name(fleet.name), _encoded(redis_files(fleet, password)))
    if fleet.spec.signaling.api_keys_secret_ref is None:
        key = f"vf-{base64.urlsafe_b64encode(context.secret(24)).decode()}"
        await _there(context, fleet, api_keys_name(fleet), _encoded({"default": key}))
    await _certificate(context, fleet, now)
    return await _key_ring(context, fleet, now)


async def _key_ring(context: Context, fleet: Fleet, now: float) -> Made:
    first = KeyRing.generate(fleet.name, now, context.secret)
    secret = await _there(context, fleet, keys_name(fleet.name), {RING: _base64(first.dump())})
    ring = KeyRing.parse(base64.b64decode((secret.get("data") or {}).get(RING, "")))
    metadata = secret.get("metadata") or {}
    noted = metadata.get("annotations") or {}
    asked, handled = fleet.annotations.get(ROTATE, ""), noted.get(HANDLED, fleet.status.rotation_handled)
    if rotation_due(ring, fleet.spec.keys, now, asked, handled):
        ring = rotated(ring, fleet.spec.keys, now, context.secret)
        data = {**secret["data"], RING: _base64(ring.dump())}
        # Noted where the keys are, in one write: a status that could not be written would make it rotate twice.
        metadata = {**metadata, "annotations": {**noted, HANDLED: asked}}
        context.saw(await context.cluster.replace({**secret, "metadata": metadata, "data": data}))
        handled = asked
    following = next_rotation(ring, fleet.spec.keys, now, waiting=asked not in ("", handled))
    again = LOOK_AGAIN if following is None else min(max(0.1, following - now), LOOK_AGAIN)
    return Made(max(key.mint_from for key in ring.keys), handled, again)


async def _certificate(context: Context, fleet: Fleet, now: float) -> None:
    name = certificate_name(fleet.name)
    known = context.store.get("Secret", fleet.namespace, name)
    if known is None:
        known = await _there(context, fleet, name, _new_certificate(now))
    pem = base64.b64decode((known.get("data") or {}).get("tls.crt", ""))
    try:
        ends = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except ValueError:
        ends = datetime.fromtimestamp(0, UTC)
    # Calls keep the certificate that they began with; a pod takes the new one when it starts.
    if ends - datetime.fromtimestamp(now, UTC) < RENEW_BEFORE:
        context.saw(await context.cluster.replace({**known, "data": _new_certificate(now)}))


async def _there(context: Context, fleet: Fleet, name: str, data: dict[str, str]) -> Document:
    """The Secret of this name: as it is, or made with this content."""
    known = context.store.get("Secret", fleet.namespace, name)
    if known is not None:
        return known
    document = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": metadata(fleet, name, {Label.FLEET: fleet.name}),
        "type": "Opaque",
        "data": data,
    }
    try:
        made = await context.cluster.create(document)
    except Conflict:
        made = await context.cluster.get(SECRET, fleet.namespace, name)
    context.saw(made)
    return made


def _new_certificate(now: float) -> dict[str, str]:
    certificate, private = self_signed(now, CERTIFICATE_LIFE)
    return {"tls.crt": _base64(certificate), "tls.key": _base64(private)}


def _encoded(files: dict[str, str]) -> dict[str, str]:
    return {name: _base64(text.encode()) for name, text in files.items()}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
