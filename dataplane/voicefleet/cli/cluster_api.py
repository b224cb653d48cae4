"""A fleet in a cluster: its custom resources by the API server, and its signaling through that.

Nothing is opened to the outside for this, and no tunnel is made: the API server passes requests on to Services
(`services/proxy`), and the fleet's key comes from its Secret.
"""

import base64
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from voicefleet.cli.failure import Exit, Failure
from voicefleet.contract import OPERATOR_KEY
from voicefleet.wire.keyring import KeyRing
from voicefleet_operator.kube import errors
from voicefleet_operator.kube.cluster import Cluster, Document
from voicefleet_operator.kube.endpoints import CUSTOM, SECRET
from voicefleet_operator.model.manifest import keys_name, signaling_name


def explained(error: errors.KubernetesError) -> Failure:
    """What the API server's refusal means for a user."""
    message = (error.message or "no answer").rstrip(".")
    match error:
        case errors.Forbidden():
            return Failure(f"the cluster does not allow it: {message}", "ask for that role", Exit.FORBIDDEN)
        case errors.NotFound():
            return Failure(f"the cluster does not know it: {message}", "see voicefleet doctor", Exit.NOT_FOUND)
        case errors.Refused():
            return Failure(message, "mend the object", Exit.INVALID)
        case errors.Unavailable() if error.status == 401:
            return Failure("the cluster does not know who you are", "log in to it again", Exit.FORBIDDEN)
    return Failure(f"the cluster does not answer: {message}", "see whether kubectl reaches it", Exit.UNREACHABLE)


@dataclass(slots=True)
class ClusterFleet:
    """One fleet of one namespace; without a name, the only one there."""

    kubeconfig: Path
    context: str
    namespace: str
    name: str
    _cluster: Cluster | None = field(default=None, init=False)
    _ring: KeyRing | None = field(default=None, init=False)

    async def __aenter__(self) -> "ClusterFleet":
        try:
            self._cluster = await Cluster.connect(str(self.kubeconfig), self.context or None)
        except Exception as error:  # the client raises whatever it meets: YAML, files, programs that give tokens
            reason = str(error).partition("\n")[0]
            raise Failure(
                f"{self.kubeconfig} cannot be used: {reason}", "see whether kubectl can", Exit.INVALID
            ) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cluster is not None:
            await self._cluster.close()

    @property
    def cluster(self) -> Cluster:
        """The API server."""
        assert self._cluster is not None, "entered"
        return self._cluster

    async def objects(self, kind: str) -> list[Document]:
        """All objects of one of our kinds in the namespace."""
        try:
            return await self.cluster.list(CUSTOM[kind], self.namespace)
        except errors.NotFound:
            raise Failure(
                f"the cluster does not know the kind {kind}", "install the CRDs: kubectl apply -f crds/", Exit.NOT_FOUND
            ) from None
        except errors.KubernetesError as error:
            raise explained(error) from None

    async def fleet(self) -> str:
        """The name of the fleet."""
        if not self.name:
            names = [each["metadata"]["name"] for each in await self.objects("VoiceFleet")]
            if len(names) != 1:
                said = "there is no VoiceFleet" if not names else f"there are several VoiceFleets ({', '.join(names)})"
                step = "name another namespace with -n" if not names else "choose one with --fleet"
                raise Failure(f"{said} in the namespace {self.namespace}", step, Exit.NOT_FOUND)
            self.name = names[0]
        return self.name

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What signaling answers."""
        name = await self.fleet()
        headers = {OPERATOR_KEY: f"Bearer {(await self.ring()).minting(time.time()).api_bearer}"}
        try:
            return await self.cluster.through_service(self.namespace, signaling_name(name), method, path, body, headers)
        except errors.Unavailable as error:
            raise Failure(
                f"signaling of {name} does not answer: {error.message.strip()}",
                "see voicefleet doctor",
                Exit.UNREACHABLE,
            ) from None
        except errors.KubernetesError as error:
            raise explained(error) from None

    async def ring(self) -> KeyRing:
        """The fleet's keys."""
        if self._ring is None:
            name = keys_name(await self.fleet())
            try:
                secret = await self.cluster.get(SECRET, self.namespace, name)
                self._ring = KeyRing.parse(base64.b64decode(secret["data"]["keyring.json"]))
            except errors.KubernetesError as error:
                raise explained(error) from None
            except (KeyError, ValueError):
                raise Failure(
                    f"the Secret {name} holds no key ring", "remove it: the operator makes a new one"
                ) from None
        return self._ring
