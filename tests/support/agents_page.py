"""A page that talks to its agent with the official `@openai/agents`, through signaling, a relay and a transceiver, to a
model server; and what page, transceiver and model each know of it."""

import asyncio
import hashlib
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiohttp import web
from openai import AsyncOpenAI
from playwright.async_api import Page

from tests.support.chromium import chromium_page
from tests.support.facts import eventually, eventually_seen
from tests.support.npm_packages import official_clients
from tests.support.realtime_model import ModelServer
from tests.support.relay_process import relay_processes
from tests.support.signaling import signaling
from tests.support.spoken_audio import sound_file, steady_speech
from tests.support.starvation import starvation
from tests.support.workers import RING
from voicefleet.agents.link import Asked, Voice
from voicefleet.agents.realtime.link import RealtimeLink
from voicefleet.agents.realtime.models import ModelPlan, Models
from voicefleet.core.directory import PublicAddress, RelayEntry
from voicefleet.core.media.pacing import Flushed
from voicefleet.net.pcm_port import PcmFrame
from voicefleet.observability.health import served
from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.transceiver.session import Session

KEY: Final = "vf-a-key-of-the-test"
KEYS: Final = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})
BUNDLE: Final = "node_modules/@openai/agents-realtime/dist/bundle/openai-realtime-agents.umd.js"
SCRIPT: Final = Path(__file__).with_name("agents_page.js")
RTP_CLOCK: Final = 48_000
LOUD: Final = 1000
"""Sample from which the caller is heard in the transceiver: Opus makes nothing of silence."""


class Interruption(NamedTuple):
    """What came of one, in milliseconds."""

    silent: float
    """From the caller's onset at the transceiver until nothing of the agent's leaves any more."""
    starved: float
    """What threads waited for a processor meanwhile."""
    told: int
    """What the model was told that the caller has heard."""
    clock: float
    """What the page heard, by its own clock."""
    words: float
    """The same without what its jitter buffer made of it."""
    blind: float
    """How long the page at most had no processor to look at its jitter buffer."""


class WatchedVoice:
    """A link's voice, and when it fell silent."""

    def __init__(self, voice: Voice, silent: list[float]) -> None:
        self._voice = voice
        self._silent = silent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._voice, name)

    async def hush(self) -> Flushed:
        """Nothing of the agent's leaves after this."""
        flushed = await self._voice.hush()
        self._silent.append(asyncio.get_running_loop().time())
        return flushed


class WatchedLink(RealtimeLink):
    """The product's link, and the moments that a test asks for."""

    def __init__(self, models: Models, config: dict[str, Any]) -> None:
        super().__init__(models, config)
        self.silent: list[float] = []
        """When what was being said had been dropped."""
        self.onsets: list[float] = []
        """When the caller's sound, after half a second of none, had reached the transceiver."""
        self._last_loud = float("-inf")

    async def attend(self, voice: Voice) -> None:
        await super().attend(WatchedVoice(voice, self.silent))

    def on_pcm(self, frames: Sequence[PcmFrame]) -> None:
        for frame in frames:
            if max(map(abs, memoryview(frame.pcm).cast("h")), default=0) > LOUD:
                if frame.captured - self._last_loud > 0.5:
                    self.onsets.append(frame.captured)
                self._last_loud = frame.captured
        super().on_pcm(frames)


@dataclass
class AgentsCall:
    """A page in a call."""

    page: Page
    session: Session
    link: WatchedLink
    model: ModelServer
    problems: list[str] = field(default_factory=list)

    async def speaks(self, does: bool) -> None:
        """The caller's microphone."""
        await self.page.evaluate("does => window.page.mouth.speaks(does)", does)

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """What the package told the application, of one type."""
        found: list[dict[str, Any]] = await self.page.evaluate(
            "kind => window.page.events.filter(event => event.type === kind)", kind
        )
        return found

    async def told(self, kind: str, times: int = 1) -> dict[str, Any]:
        """The event of that type, once it has come so often."""

        async def came() -> bool:
            return len(await self.events(kind)) >= times

        await eventually_seen(came, lambda: f"the page is told {kind}")
        return (await self.events(kind))[times - 1]

    async def says_something(self) -> None:
        """The caller speaks until the model has noticed, and is silent again."""
        turns = len(await self.events("input_audio_buffer.speech_started"))
        await self.speaks(True)
        await self.told("input_audio_buffer.speech_started", turns + 1)
        await self.speaks(False)

    async def sounds(self, gap: float) -> list[tuple[float, float]]:
        """From when to when, in seconds of the page's audio clock, it heard something."""
        peaks, block = await self.page.evaluate("() => [window.page.peaks, window.page.block]")
        found: list[tuple[float, float]] = []
        for number, peak in enumerate(peaks):
            if peak > 0.01:
                start, end = number * block, (number + 1) * block
                if found and start - found[-1][1] < gap:
                    found[-1] = (found[-1][0], end)
                else:
                    found.append((start, end))
        return found

    async def stretched(self, start: float, end: float) -> tuple[float, float]:
        """Seconds that the browser's jitter buffer added to a sound of the page's audio clock: the words that it heard
        in that time are so much shorter. And for how long the page could not ask it, or its audio
        clock stood still."""
        looks, block = await self.page.evaluate("() => [window.page.stretched, window.page.block]")
        times = [blocks * block for blocks, _, _ in looks]
        # What is heard has left the jitter buffer before; before the sound it conceals silence.
        first, last = bisect_left(times, start), bisect_left(times, end)
        blind = max(later - earlier for earlier, later in pairwise([start, *times[first : last + 1]]))
        slow = (looks[last][2] - looks[first][2]) / 1000 - (times[last] - times[first])
        return float(looks[last][1] - looks[first][1]) / RTP_CLOCK, max(blind, slow)

    async def heard(self) -> float:
        """Seconds of sound that the page heard so far; pauses of speech belong to it."""
        return sum(end - start for start, end in await self.sounds(0.3))

    async def hears(self, since: float, seconds: float) -> None:
        """The page has heard so much since that moment of its audio clock."""

        async def hears() -> bool:
            return sum(end - start for start, end in await self.sounds(0.2) if start > since) >= seconds

        await eventually_seen(hears, lambda: f"the page hears {seconds} s")

    async def clock(self) -> float:
        """Seconds of the page's audio clock."""
        return float(await self.page.evaluate("() => window.page.peaks.length * window.page.block"))

    async def hears_nothing(self, seconds: float) -> None:
        """The page has heard nothing for so long."""

        async def silent() -> bool:
            return bool(await self.clock() - (await self.sounds(0.2))[-1][1] >= seconds)

        await eventually_seen(silent, lambda: "the page hears nothing more")

    async def falls_silent(self, since: float, seconds: float) -> float:
        """When what the page heard since that moment ended: it heard nothing for so long then."""
        ends: list[float] = []

        async def silent() -> bool:
            now = await self.clock()
            heard = [piece for piece in await self.sounds(0.2) if since < piece[0] < now]
            ends[:] = [end for (_, end), (start, _) in pairwise([*heard, (now, now)]) if start - end >= seconds]
            return bool(ends)

        await eventually_seen(silent, lambda: "the page hears nothing more")
        return ends[0]


async def interruptions(call: AgentsCall, times: int) -> list[Interruption]:
    """The caller speaks over the model so often, each time a second after it began to hear it."""
    marks = [0.0]
    with starvation() as starved:
        await call.says_something()
        for number in range(1, times + 1):
            await call.told("output_audio_buffer.started", number)
            await call.hears(marks[-1], 1.0)
            await call.says_something()
            await call.told("output_audio_buffer.cleared", number)
            # The next answer may begin right after.
            marks.append(await call.falls_silent(marks[-1], 0.3))
        (conversation,) = call.model.conversations
        await eventually(lambda: len(conversation.truncated) == times, "the model is told")
        found = []
        told = [end_ms for _, _, end_ms in conversation.truncated]
        for end_ms, silent, (since, until) in zip(told, call.link.silent, pairwise(marks), strict=True):
            onset = max(onset for onset in call.link.onsets if onset < silent)
            # A browser that gets no processor may break it into several.
            pieces = [piece for piece in await call.sounds(0.2) if since < piece[0] < until]
            start, end = pieces[0][0], pieces[-1][1]
            stretched, blind = await call.stretched(start, end)
            seconds = (end - start, end - start - stretched, blind)
            waited = starved.waited(onset, silent)
            found.append(
                Interruption(1000 * (silent - onset), 1000 * waited, end_ms, *(1000 * each for each in seconds))
            )
    return found


@asynccontextmanager
async def agents_call(directory: Path, model: ModelServer) -> AsyncIterator[AgentsCall]:
    """A call that is up; the caller is silent."""
    models = Models(ModelPlan([model.url], model="test-model"), lambda: "a-key")
    links: list[WatchedLink] = []

    def link(asked: Asked) -> WatchedLink:
        links.append(WatchedLink(models, asked.config))
        return links[-1]

    async with (
        relay_processes(directory, RING, "127.0.0.1") as (relay,),
        signaling(KEYS, relays=[_entry(relay.address)], relayed_link=link) as fleet,
        served(_site(directory), "127.0.0.1", 0) as site,
        AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{fleet.port}/v1") as application,
        chromium_page(directory / "no-microphone.wav") as page,
    ):
        secret = await application.realtime.client_secrets.create(session={"type": "realtime", "model": "ours"})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.goto(f"http://127.0.0.1:{site}/")
        url = f"http://127.0.0.1:{fleet.port}/v1/realtime/calls"
        call_id = await page.evaluate("asked => call(asked)", {"url": url, "secret": secret.value})
        session = fleet.workers[0].session(call_id)
        yield AgentsCall(page, session, links[-1], model, problems)


def _entry(address: tuple[str, int]) -> RelayEntry:
    host, port = address
    return RelayEntry("relay-0", "edge", "here", None, (PublicAddress(host, port),), 0.0)


def _site(directory: Path) -> web.Application:
    microphone = sound_file(directory / "speech.wav", steady_speech(8.0, 48_000), 48_000)
    files = {"/agents.js": official_clients() / BUNDLE, "/page.js": SCRIPT, "/speech.wav": microphone}
    site = web.Application()

    async def page(_request: web.Request) -> web.Response:
        scripts = "<script src=/agents.js></script><script src=/page.js></script>"
        return web.Response(text=scripts, content_type="text/html")

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(files[request.path])

    site.add_routes([web.get("/", page), *(web.get(path, file) for path in files)])
    return site
