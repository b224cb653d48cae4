"""A real Chromium restarts ICE on a live call: same call, same worker, and nobody hears it."""

from pathlib import Path
from typing import Any

from tests.support.chromium import chromium_page
from tests.support.facts import eventually_seen
from tests.support.workers import direct_worker

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
RESTART = """async () => {
    pc.restartIce()
    await pc.setLocalDescription()
    return pc.localDescription.sdp
}"""
ANSWER = "sdp => pc.setRemoteDescription({type: 'answer', sdp})"
STATS = """async () => {
    const all = [...(await pc.getStats()).values()]
    const heard = all.find(each => each.type === 'inbound-rtp')
    const transport = all.find(each => each.type === 'transport')
    return {...heard, state: pc.connectionState, changes: transport && transport.selectedCandidatePairChanges,
            ufrag: transport && transport.iceLocalUsernameFragment}
}"""


async def test_a_restart_of_ice_keeps_the_call_its_worker_and_every_frame_of_its_audio(tmp_path: Path) -> None:
    async with direct_worker() as worker, chromium_page(tmp_path / "no-microphone.wav") as page:

        async def heard() -> dict[str, Any]:
            stats: dict[str, Any] = await page.evaluate(STATS)
            return stats

        async def hears(energy: float) -> None:
            async def louder() -> bool:
                return float((await heard()).get("totalAudioEnergy", 0.0)) > energy

            await eventually_seen(louder, lambda: "the tone comes back")

        await page.goto("about:blank")
        created = worker.create(await page.evaluate(START), {}, [])
        await page.evaluate(ANSWER, created.answer)
        await hears(0.1)
        before = await heard()
        session = worker.session(created.call_id)

        restarted = worker.restart(session, await page.evaluate(RESTART), [])
        assert restarted.call_id == created.call_id and restarted.answer != created.answer
        await page.evaluate(ANSWER, restarted.answer)

        async def taken_up() -> bool:
            return (await session.look()).leg.restarts == 1

        await eventually_seen(taken_up, lambda: "the client checks under the new credentials")
        await hears((await heard())["totalAudioEnergy"] + 0.2)
        after = await heard()
        assert after["ufrag"] != before["ufrag"] and after["state"] == "connected"
        assert after["packetsLost"] == before["packetsLost"] == 0
        said = after["totalSamplesReceived"] - before["totalSamplesReceived"]
        concealed = after["concealedSamples"] - before["concealedSamples"]
        assert concealed < 0.02 * said, f"{concealed} of {said} samples were made up"
        record = (await session.look()).leg
        assert record.measurements is not None and record.measurements.uplink.concealed == 0
        await page.evaluate("channel.send('still here')")

        async def echoed() -> bool:
            return bool(await page.evaluate("heard.includes('still here')"))

        await eventually_seen(echoed, lambda: "the data channel goes on")
        assert worker.created == 1
