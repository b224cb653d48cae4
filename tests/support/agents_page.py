"""A page that talks to its agent with the official `@openai/agents`, through signaling, a relay and a transceiver, to a
model server; and what page, transceiver and model each know of it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from openai import AsyncOpenAI
from playwright.async_api import Page

from tests.support.chromium import chromium_page
from tests.support.facts import eventually_seen
from tests.support.npm_packages import official_clients
from tests.support.realtime_model import ModelServer
from tests.support.relay_process import relay_processes
from tests.support.signaling import signaling
from tests.support.spoken_audio import speech_file
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
LOUD: Final = 1000
"""Sample from which the caller is heard in the transceiver: Opus makes nothing of silence."""


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

    async def heard(self) -> float:
        """Seconds of sound that the page heard so far; pauses of speech belong to it."""
        return sum(end - start for start, end in await self.sounds(0.3))

    async def hears(self, number: int, seconds: float) -> None:
        """The page hears its so many-th sound, and has for so long; gaps of 0.2 s are within one."""

        async def hears() -> bool:
            sounds = await self.sounds(0.2)
            return len(sounds) >= number and sounds[number - 1][1] - sounds[number - 1][0] >= seconds

        await eventually_seen(hears, lambda: f"the page hears sound {number}")

    async def hears_nothing(self, seconds: float) -> None:
        """The page has heard nothing for so long."""

        async def silent() -> bool:
            last = await self.page.evaluate("() => window.page.peaks.length * window.page.block")
            return bool(last - (await self.sounds(0.2))[-1][1] >= seconds)

        await eventually_seen(silent, lambda: "the page hears nothing more")


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
        try:
            call_id = await page.evaluate("asked => call(asked)", {"url": url, "secret": secret.value})
            session = fleet.workers[0].session(call_id)
            yield AgentsCall(page, session, links[-1], model, problems)
        finally:
            await models.close()


def _entry(address: tuple[str, int]) -> RelayEntry:
    host, port = address
    return RelayEntry("relay-0", "edge", "here", None, (PublicAddress(host, port),), 0.0)


def _site(directory: Path) -> web.Application:
    microphone = speech_file(directory / "speech.wav", 8.0, 48_000)
    files = {"/agents.js": official_clients() / BUNDLE, "/page.js": SCRIPT, "/speech.wav": microphone}
    site = web.Application()

    async def page(_request: web.Request) -> web.Response:
        scripts = "<script src=/agents.js></script><script src=/page.js></script>"
        return web.Response(text=scripts, content_type="text/html")

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(files[request.path])

    site.add_routes([web.get("/", page), *(web.get(path, file) for path in files)])
    return site
