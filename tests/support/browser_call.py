"""A call of a page of Chromium's with a worker in the test's own process: a tone that has to come back."""

from collections.abc import Sequence
from typing import Any

from playwright.async_api import Page

from tests.support.facts import eventually_seen
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.services.transceiver.calls import Created
from voicefleet.services.transceiver.worker import Worker

START = """async () => {
    const context = new AudioContext(), tone = context.createOscillator(), out = context.createMediaStreamDestination()
    tone.connect(out)
    tone.start()
    const pc = window.pc = new RTCPeerConnection()
    pc.addTrack(out.stream.getAudioTracks()[0], out.stream)
    window.channel = pc.createDataChannel('oai-events')
    window.heard = []
    channel.onmessage = event => heard.push(event.data)
    pc.ontrack = event => {
        const player = window.player = new Audio()
        player.srcObject = event.streams[0]
        player.play()
    }
    await pc.setLocalDescription()
    return pc.localDescription.sdp
}"""
ANSWER = "sdp => pc.setRemoteDescription({type: 'answer', sdp})"
STATS = """async () => {
    const all = [...(await pc.getStats()).values()]
    const heard = all.find(each => each.type === 'inbound-rtp')
    const transport = all.find(each => each.type === 'transport')
    const pair = transport && all.find(each => each.id === transport.selectedCandidatePairId)
    const remote = pair && all.find(each => each.id === pair.remoteCandidateId)
    return {...heard, state: pc.connectionState, changes: transport && transport.selectedCandidatePairChanges,
            ufrag: transport && transport.iceLocalUsernameFragment,
            remote: remote && [remote.address, remote.port]}
}"""


class BrowserCall:
    """One call."""

    def __init__(self, page: Page, worker: Worker) -> None:
        self._page = page
        self._worker = worker

    async def begin(self, relays: Sequence[RelayAddress]) -> Created:
        """Until the tone comes back."""
        await self._page.goto("about:blank")
        created = self._worker.create(await self._page.evaluate(START), {}, relays)
        await self._page.evaluate(ANSWER, created.answer)
        await self.hears(0.1)
        return created

    async def stats(self) -> dict[str, Any]:
        """What Chromium counts of what it hears, the state of the connection, and the relay in use as `remote`."""
        found: dict[str, Any] = await self._page.evaluate(STATS)
        return found

    async def hears(self, more: float) -> None:
        """Wait until so much more energy of the tone has come back."""
        energy = float((await self.stats()).get("totalAudioEnergy", 0.0)) + more

        async def louder() -> bool:
            return float((await self.stats()).get("totalAudioEnergy", 0.0)) >= energy

        await eventually_seen(louder, lambda: "the tone comes back")
