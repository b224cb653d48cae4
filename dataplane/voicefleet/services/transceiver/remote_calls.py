"""The calls of a worker in another process: what the pod's process asks, and how the worker's process answers.

Both ends of each request stand here side by side, so that nobody else knows what it looks like on the way.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.core.sdp.offer import OfferError
from voicefleet.core.transceiver.admission import Refusal
from voicefleet.net.worker_channel import Closed, Refused, WorkerChannel
from voicefleet.services.transceiver.calls import GOODBYE_WAIT, Created, NoSuchCall, Unavailable

if TYPE_CHECKING:
    from voicefleet.services.transceiver.worker_calls import WorkerCalls

DEADLINE: Final = 2.0
"""Seconds for a worker to answer; it takes milliseconds, and signaling gives up after three."""
STOP_DEADLINE: Final = 5.0
"""Seconds for a worker to end its calls."""

_CREATE, _RESTART, _END, _LOOK, _LIST, _GOODBYE, _STOP = "create", "restart", "end", "look", "list", "goodbye", "stop"
_UNAVAILABLE, _OFFER, _NO_CALL = "unavailable", "offer", "no_call"


class RemoteCalls:
    """Asks one worker over its channel."""

    def __init__(self, channel: WorkerChannel) -> None:
        self._channel = channel

    async def create(self, offer: str, config: dict[str, Any], relays: Sequence[RelayAddress]) -> Created:
        """Take a call; raises `Unavailable` or `OfferError`."""
        return Created(*await self._ask(_CREATE, [offer, config, [list(relay_fields(relay)) for relay in relays]]))

    async def restart(self, call: str, offer: str, relays: Sequence[RelayAddress]) -> Created:
        """New ICE credentials for a call; raises `NoSuchCall`, `Unavailable` or `OfferError`."""
        return Created(*await self._ask(_RESTART, [call, offer, [list(relay_fields(relay)) for relay in relays]]))

    async def end(self, call: str) -> None:
        """Hang up; raises `NoSuchCall` or `Unavailable`."""
        await self._ask(_END, [call])

    async def look(self, call: str) -> dict[str, Any]:
        """What is known of a call; raises `NoSuchCall` or `Unavailable`."""
        looked: dict[str, Any] = await self._ask(_LOOK, [call])
        return looked

    async def ages(self) -> dict[str, float]:
        """The ages of its calls; raises `Unavailable`."""
        ages: dict[str, float] = await self._ask(_LIST, [])
        return ages

    async def say_goodbye(self, reason: str) -> None:
        """Tell its clients why their calls will end; raises `Unavailable`."""
        await self._ask(_GOODBYE, [reason], GOODBYE_WAIT + DEADLINE)

    async def stop(self, reason: str) -> None:
        """End its calls, and then itself; raises `Unavailable`."""
        await self._ask(_STOP, [reason], STOP_DEADLINE)

    async def _ask(self, kind: str, fields: list[Any], deadline: float = DEADLINE) -> Any:
        try:
            return await self._channel.ask(kind, fields, deadline)
        except Closed:
            raise Unavailable(Refusal.GONE, "the worker has just died") from None
        except TimeoutError:
            raise Unavailable(Refusal.GONE, "the worker does not answer") from None
        except Refused as refused:
            raise _raised(refused) from None


async def answer(calls: "WorkerCalls", kind: str, fields: list[Any]) -> Any:
    """The worker's answer to what `RemoteCalls` asks."""
    try:
        match kind, fields:
            case "create", [offer, config, relays]:
                created = await calls.create(offer, config, [RelayAddress(*relay) for relay in relays])
                return [created.call_id, created.answer]
            case "restart", [call, offer, relays]:
                created = await calls.restart(call, offer, [RelayAddress(*relay) for relay in relays])
                return [created.call_id, created.answer]
            case "end", [call]:
                await calls.end(call)
            case "look", [call]:
                return await calls.look(call)
            case "list", []:
                return await calls.list()
            case "goodbye", [reason]:
                await calls.say_goodbye(reason)
            case "stop", [reason]:
                await calls.stop(reason)
            case _:
                raise ValueError(f"nobody asks a worker to {kind}")
    except Unavailable as full:
        raise Refused(_UNAVAILABLE, {"why": full.why.value, "text": str(full)}) from None
    except OfferError as error:
        raise Refused(_OFFER, {"line": error.line, "text": error.text, "reason": error.reason}) from None
    except NoSuchCall:
        raise Refused(_NO_CALL, {}) from None
    return None


def relay_fields(relay: RelayAddress) -> tuple[str, int, bool]:
    """A relay as a message carries it."""
    return relay.address, relay.port, relay.tcp


def _raised(refused: Refused) -> Exception:
    fields = refused.fields
    match refused.kind:
        case "unavailable":
            return Unavailable(Refusal(fields["why"]), fields["text"])
        case "offer":
            return OfferError(fields["line"], fields["text"], fields["reason"])
        case _:
            return NoSuchCall()
