"""A real Chromium restarts ICE on a live call: same call, same worker, and nobody hears it."""

from pathlib import Path

from tests.support.browser_call import ANSWER, BrowserCall
from tests.support.chromium import chromium_page
from tests.support.facts import eventually_seen
from tests.support.workers import direct_worker

RESTART = """async () => {
    pc.restartIce()
    await pc.setLocalDescription()
    return pc.localDescription.sdp
}"""


async def test_a_restart_of_ice_keeps_the_call_its_worker_and_every_frame_of_its_audio(tmp_path: Path) -> None:
    async with direct_worker() as worker, chromium_page(tmp_path / "no-microphone.wav") as page:
        call = BrowserCall(page, worker)
        created = await call.begin([])
        before = await call.stats()
        session = worker.session(created.call_id)

        restarted = worker.restart(session, await page.evaluate(RESTART), [])
        assert restarted.call_id == created.call_id and restarted.answer != created.answer
        await page.evaluate(ANSWER, restarted.answer)

        async def taken_up() -> bool:
            return (await session.look()).leg.restarts == 1

        await eventually_seen(taken_up, lambda: "the client checks under the new credentials")
        await call.hears(0.2)
        after = await call.stats()
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
