"""Programs from Pion's Go module, for tests and benches: built once from tests/clients/pion, and kept in .cache."""

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import tempfile
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fcntl import LOCK_EX, flock
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.facts import DEADLINE, eventually
from tests.support.tone import share_of_tone, tone
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.net.opus import OpusDecoder, OpusEncoder
from voicefleet.wire import red

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests" / "clients" / "pion"
BUILDING = 600.0
"""Seconds for the first build on a slow machine, with the modules to fetch."""
OPUS: Final = 111
RED: Final = 63
TONE: Final = 12
"""Seconds of tone until it is said again; whole periods of every frequency that tests use."""


class AudioPacket(NamedTuple):
    """An RTP packet as it came."""

    payload_type: int
    sequence: int
    timestamp: int
    payload: bytes


def build(program: str) -> Path:
    """The program of that name, built if it was not, or if its sources have changed."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes())
    folder = ROOT / ".cache" / "pion" / digest.hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        flock(lock, LOCK_EX)  # tests run in parallel
        if not (folder / program).exists():
            command = ("go", "build", "-trimpath", "-o", f"{folder}{os.sep}", "./...")
            # What the machine's Go is called must not matter: no other is fetched.
            ran = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False, timeout=BUILDING)
            assert ran.returncode == 0, f"go build: {ran.stderr}"
    return folder / program


def write_frames(file: Path, frames: Sequence[bytes]) -> Path:
    """A file of Opus frames as these programs read it."""
    file.write_bytes(b"".join(len(frame).to_bytes(2) + frame for frame in frames))
    return file


class PionCaller:
    """One call of Pion's. `packets` grows with what comes back, in the order of coming."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.states: list[str] = []
        self.packets: list[AudioPacket] = []
        self.asked = 0
        """NACKs that the server sent."""
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.open = asyncio.Event()
        self._process = process
        self._replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reading = asyncio.ensure_future(self._read())

    async def offer(self, *, restart: bool = False) -> str:
        """The offer's text, with all candidates."""
        self._say(do="offer", restart=restart)
        reply = await asyncio.wait_for(self._replies.get(), DEADLINE)
        assert reply["event"] == "offer", reply
        text: str = reply["sdp"]
        return text

    async def answer(self, text: str) -> None:
        """Take the answer; the call begins."""
        self._say(do="answer", sdp=text)

    def send(self, message: str | bytes) -> None:
        """On the data channel."""
        if isinstance(message, str):
            self._say(do="send", text=message)
        else:
            self._say(do="send", binary=base64.b64encode(message).decode())

    async def selected(self) -> tuple[str, int]:
        """Where its ICE sends to; port 0 while that is open."""
        self._say(do="pair")
        reply = await asyncio.wait_for(self._replies.get(), DEADLINE)
        assert reply["event"] == "pair", reply
        return reply["address"], reply["port"]

    def heard(self, since: int = 0) -> "array[int]":
        """What packets from number `since` on say, in 48 kHz mono, by libopus: in order, what is lost left out."""
        frames: dict[int, bytes] = {}
        first = self.packets[since].sequence if len(self.packets) > since else 0
        for packet in self.packets[since:]:
            place = (packet.sequence - first + 0x8000 & 0xFFFF) - 0x8000
            if packet.payload_type == RED:
                copies = list(red.decode(packet.payload))
                for age, block in zip(range(len(copies) - 1, -1, -1), copies, strict=True):
                    frames.setdefault(place - age, block.data)
            else:
                frames[place] = packet.payload
        decoder = OpusDecoder(48_000)
        samples = array("h")
        for number, payload in sorted(frames.items()):
            if payload:
                samples.frombytes(decoder.decode(AudioFrame(FrameKind.HEARD, payload, 960 * number, 960, 0.0)))
        return samples

    def jumps(self, start: int, end: int) -> list[float]:
        """Seconds of media time that no packet fills, after each from number `start` to `end`, in order of sequence."""
        first = self.packets[0].sequence
        stamps = {(packet.sequence - first + 0x8000 & 0xFFFF) - 0x8000: packet.timestamp for packet in self.packets}
        ordered = sorted(stamps.items())[start:end]
        return [
            ((later - earlier + 2**31 & 0xFFFFFFFF) - 2**31 - 960) / 48_000
            for (_, earlier), (_, later) in pairwise(ordered)
        ]

    def missing(self) -> int:
        """How many packets of those between the first and the last never came."""
        places = {0}
        highest = 0
        for packet in self.packets[1:]:
            at = highest + (packet.sequence - self.packets[0].sequence - highest + 0x8000 & 0xFFFF) - 0x8000
            highest = max(highest, at)
            places.add(at)
        return max(places) - min(places) + 1 - len(places)

    async def hears(self, frequency: float, seconds: float = 1.0, since: int = 0) -> None:
        """Wait until that much of what came back last is this tone and nothing else."""
        needed = int(seconds * 50) + 25  # a decoder needs some frames to begin with
        share = 0.0
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    if len(self.packets) >= since + needed:
                        share = share_of_tone(self.heard(len(self.packets) - needed)[24_000:], frequency, 48_000)
                        if share > 0.95:
                            return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{len(self.packets)} packets came back, {share:.0%} of it the tone") from None

    async def reaches(self, state: str) -> None:
        """Wait until the connection has been in that state."""
        await eventually(lambda: state in self.states, f"{state} (it was {', '.join(self.states)})")

    def _say(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            match event["event"]:
                case "audio":
                    payload = base64.b64decode(event["payload"])
                    self.packets.append(AudioPacket(event["type"], event["sequence"], event["timestamp"], payload))
                case "state":
                    self.states.append(event["state"])
                case "open":
                    self.open.set()
                case "message":
                    self.messages.put_nowait(event["text"] if "text" in event else base64.b64decode(event["binary"]))
                case "asked":
                    self.asked += event["packets"]
                case "closed":
                    pass
                case _:
                    self._replies.put_nowait(event)

    async def close(self) -> None:
        """Hang up."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), DEADLINE)
        await self._reading


@asynccontextmanager
async def pion_caller(
    frequency: float = 440.0, *, redundant: bool = False, renominate: bool = False
) -> AsyncIterator[PionCaller]:
    """A caller that says a tone, with a data channel; `redundant`: it says every frame twice (RFC 2198).

    `renominate`: it keeps all its candidate pairs alive, and nominates another one where that is better.
    """
    program = await asyncio.to_thread(build, "caller")
    encoder = OpusEncoder(48_000)
    encoder.expect_loss(0)
    tones = (tone(frequency, 960 * number, 960, 48_000) for number in range(50 * TONE))
    with tempfile.NamedTemporaryFile() as file:
        write_frames(Path(file.name), [encoder.encode(piece) for piece in tones])
        process = await asyncio.create_subprocess_exec(
            *(
                str(program),
                "-frames",
                file.name,
                *(["-red"] if redundant else []),
                *(["-renominate"] if renominate else []),
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        caller = PionCaller(process)
        try:
            yield caller
        finally:
            await caller.close()
