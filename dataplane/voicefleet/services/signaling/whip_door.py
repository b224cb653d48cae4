"""The WHIP door (RFC 9725), for encoders and players that speak no vendor's dialect: the call is a resource.

POST    /whip         an SDP offer starts a call: 201, the answer, Location, ETag
OPTIONS /whip         what may be posted, and the ICE servers that clients may use
PATCH   /whip/{id}    candidates (taken note of: an ICE-lite side does not need them), or an ICE restart (If-Match: *)
DELETE  /whip/{id}    ends the call

An ETag names the ICE session. Any replica can check it, since the transceiver keeps the count of restarts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from voicefleet.core.sdp.fragment import MAX_FRAGMENT, fragment_of, read_fragment, version_of
from voicefleet.core.sdp.offer import OfferError
from voicefleet.services.signaling.call_request import MAX_OFFER, read_bounded, read_sdp
from voicefleet.services.signaling.front_desk import FrontDesk, session_of
from voicefleet.services.signaling.openapi import PROBLEM, TEXT, Answer, Described, described
from voicefleet.services.signaling.problems import Problem, bad_request
from voicefleet.services.signaling.transceiver_client import offered

PATH: Final = "/whip"
OFFER: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
ANY: Final = "*"

START: Final = Described(
    answers={
        201: Answer("The SDP answer.", {OFFER: TEXT}, {"Location": TEXT, "ETag": TEXT, "Accept-Patch": TEXT}),
        307: Answer("Another region's signaling is nearer.", headers={"Location": TEXT}),
    },
    refuses=(400, 403, 408, 413, 415, 429, 503),
    body={OFFER: TEXT},
    errors=PROBLEM,
)
CHANGE: Final = Described(
    answers={
        200: Answer("ICE credentials and candidates after a restart.", {FRAGMENT: TEXT}, {"ETag": TEXT}),
        204: Answer("The candidates are taken note of."),
    },
    refuses=(400, 403, 404, 408, 412, 413, 415, 422, 428, 503),
    body={FRAGMENT: TEXT},
    body_required=False,
    headers={"If-Match": TEXT},
    errors=PROBLEM,
)
END: Final = Described(answers={200: Answer("It has ended.")}, refuses=(403, 404, 503), errors=PROBLEM)


@dataclass(slots=True)
class WhipDoor:
    """Handlers of the door; holds no call."""

    desk: FrontDesk
    ice_servers: Sequence[str] = ()
    """URLs of STUN and TURN servers that clients are told; the relays need none."""

    def routes(self) -> list[web.RouteDef]:
        """What an application adds to serve this door."""
        return [
            web.post(PATH, self.start_call),
            web.options(PATH, self.describe),
            web.patch(PATH + "/{call_id}", self.change),
            web.delete(PATH + "/{call_id}", self.end_call),
            web.options(PATH + "/{call_id}", self.describe_call),
        ]

    @described(START)
    async def start_call(self, request: web.Request) -> web.Response:
        """Offer in, answer out."""
        async with self.desk.attempt("whip", request) as attempt:
            caller = await self.desk.admit(request, attempt)
            if request.content_type != OFFER:
                raise Problem(415, "unsupported_media_type", f"Send {OFFER}.", headers={"Accept-Post": OFFER})
            with attempt.stage("body"):
                sdp = read_sdp(await read_bounded(request, MAX_OFFER, "offer"))
            self.desk.steer(attempt)
            other = self.desk.elsewhere(request, attempt)
            if other is not None:
                attempt.redirected = other.region
                location = f"{other.url.rstrip('/')}{PATH}?redirected={self.desk.region}"
                return web.Response(status=307, headers={"Location": location})
            placed = await self.desk.place(attempt, sdp, session_of(caller, {}))
            headers: CIMultiDict[str] = CIMultiDict(
                {
                    "Location": f"{PATH}/{placed.call_id}",
                    "ETag": _etag(version_of(placed.answer)),
                    "Accept-Patch": FRAGMENT,
                    "Server-Timing": attempt.server_timing(),
                }
            )
            self._add_links(headers)
            return web.Response(status=201, body=placed.answer.encode(), content_type=OFFER, headers=headers)

    @described(Described({204: Answer("In headers.", headers={"Allow": TEXT, "Accept-Post": TEXT})}, needs_key=False))
    async def describe(self, _request: web.Request) -> web.Response:
        """What may be posted here; asked without a key, since it tells nothing of calls."""
        headers: CIMultiDict[str] = CIMultiDict({"Allow": "OPTIONS, POST", "Accept-Post": OFFER})
        # Readable for a page: one popular client trickles only if it finds PATCH in this header.
        headers["Access-Control-Allow-Methods"] = "OPTIONS, POST, PATCH, DELETE"
        self._add_links(headers)
        return web.Response(status=204, headers=headers)

    @described(Described({204: Answer("In headers.", headers={"Allow": TEXT, "Accept-Patch": TEXT})}, needs_key=False))
    async def describe_call(self, _request: web.Request) -> web.Response:
        """What may be done with a call."""
        methods = "OPTIONS, PATCH, DELETE"
        headers = {"Allow": methods, "Accept-Patch": FRAGMENT, "Access-Control-Allow-Methods": methods}
        return web.Response(status=204, headers=headers)

    @described(CHANGE)
    async def change(self, request: web.Request) -> web.Response:
        """Candidates, or new ICE credentials."""
        caller = self.desk.caller(request)
        call = request.match_info["call_id"]
        match = _precondition(request.headers)
        text = await _fragment(request)
        fragment = read_fragment(text)
        if match != ANY:
            version = await self.desk.live.version(call)
            if _etag(str(version)) not in match:
                raise Problem(412, "precondition_failed", "The ICE session is another one by now; see the ETag.")
            return web.Response(status=204)
        if fragment.ufrag is None or fragment.password is None:
            raise bad_request("An ICE restart (If-Match: *) needs a=ice-ufrag and a=ice-pwd.", param="sdp")
        client = self.desk.places.client(request, caller.key_name)
        relays = offered(self.desk.placement.relays(client).relays)
        answer = await self.desk.live.restart(call, text, relays)
        return web.Response(
            status=200,
            body=fragment_of(answer).encode(),
            content_type=FRAGMENT,
            headers={"ETag": _etag(version_of(answer))},
        )

    @described(END)
    async def end_call(self, request: web.Request) -> web.Response:
        """End the call, wherever it runs."""
        self.desk.caller(request)
        await self.desk.live.end(request.match_info["call_id"])
        return web.Response(status=200)

    def _add_links(self, headers: CIMultiDict[str]) -> None:
        for url in self.ice_servers:
            headers.add("Link", f'<{url}>; rel="ice-server"')


def _etag(version: str) -> str:
    return f'"{version}"'


def _precondition(headers: Mapping[str, str]) -> str:
    """What If-Match says; one popular browser client sends it under the name of ETag."""
    match = headers.get("If-Match") or headers.get("ETag")
    if match is None:
        raise Problem(428, "precondition_required", "Send If-Match with the ETag, or with * for an ICE restart.")
    return match.strip()


async def _fragment(request: web.Request) -> str:
    # A browser client whose first section has the mid 0 sends nothing at all, without a type.
    data = await read_bounded(request, MAX_FRAGMENT, "fragment")
    if data and request.content_type != FRAGMENT:
        raise Problem(415, "unsupported_media_type", f"Send {FRAGMENT}.", headers={"Accept-Patch": FRAGMENT})
    try:
        text = data.decode()
        read_fragment(text)
    except UnicodeDecodeError:
        raise bad_request("The fragment is not UTF-8.", param="sdp") from None
    except OfferError as error:
        raise bad_request(str(error), param="sdp") from None
    return text
