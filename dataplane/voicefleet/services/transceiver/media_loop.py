"""The thread that packets and the sending clock have to themselves.

It is a plain epoll loop over a few sockets and one eventfd. What other threads want of it they `post`; what it has to
tell the event loop it gathers and hands over once a turn. It never waits for them, and it holds no lock.

Why a thread, and not tasks on the event loop: measured with 200 calls whose agents speak, beside an event loop that is
busy for a fifth of the time and blocks for 20 ms twice a second (a large message, a user's own agent), share of frames
that leave within 2 ms of their time, alone on a core:

    one event loop, a timer on it         96.0%    and 99.8% without the blocking
    one event loop inside the packet loop 96.6%    and 100%
    two threads, switch interval 5 ms     98.2%    and 100%
    two threads, switch interval 0.1 ms   100.0%   and 100%

The interpreter lock goes round at the switch interval while both want it, so that has to be short; it costs nothing
that could be measured. A tick every 10 ms, as a first version had it, reaches 21%.
"""

import os
import select
import sys
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, Final, Protocol

from voicefleet.core.transceiver.load_meter import LATENESS_BOUNDS
from voicefleet.core.transceiver.schedule import Schedule
from voicefleet.observability import logs
from voicefleet.services.transceiver.inbox import Inbox, Told
from voicefleet.services.transceiver.media_leg import MediaLeg

SWITCH_INTERVAL: Final = 0.0001
"""Seconds; see above."""
EPOLL_STEP: Final = 0.001
"""Seconds; epoll counts in them and rounds up, so what is shorter is slept."""
TICK: Final = 0.25
"""Seconds between looks at the loop's own business, such as counters."""
TURN: Final = 0.001
"""Seconds from the beginning of a turn to that of the next, at least. To be woken costs some 50 us of processor time in
a virtual machine (what runs after it runs slowly), as much as two packets; so packets wait for each other."""
CROWDED: Final = 2 * TURN
"""Turns that come closer than this are held apart; a worker with a few calls serves each packet when it comes."""
STALLED: Final = 0.010
"""The clock goes first in a turn, so that what is due does not wait for what has come. After so many seconds in which
this thread stood still it does not: what came meanwhile is to be sent, and without it the clock would see a pause."""
_WAKE: Final = (1).to_bytes(8, sys.byteorder)

Clock = Callable[[], float]
Command = Callable[[float], None]


class Readable(Protocol):
    """A socket of this loop."""

    def fileno(self) -> int:
        """For epoll."""
        ...

    def receive(self, clock: Clock) -> bool:
        """Take what waits, at most a batch; whether more may wait, which is taken when the clock has had its turn.

        The clock is asked for each datagram: one that comes while this thread has no processor is no earlier than that.
        """
        ...

    def flush(self, now: float) -> None:
        """Send what was gathered during the turn."""
        ...


class MediaLoop:
    """One worker's media thread, from `start` to `stop`."""

    def __init__(
        self,
        inbox: Inbox,
        on_tick: Callable[[float], None],
        on_failure: Callable[[MediaLeg, Exception], None],
        on_death: Callable[[Exception], None],
    ) -> None:
        """The callbacks are called on this thread; `on_death` when it ends by an error."""
        self._inbox = inbox
        self._on_tick = on_tick
        self._on_failure = on_failure
        self._on_death = on_death
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._readers: dict[int, Readable] = {}
        self._commands: deque[Command] = deque()
        self._asleep = self._over = False
        """Asleep: for longer than a turn, so that it has to be woken for a command."""
        self._told: list[Told] = []
        self._schedule: Schedule[MediaLeg] = Schedule()
        self._running = True
        self._own_thread = threading.Thread(target=self._run, name="media", daemon=True)
        self.lateness = [0] * (len(LATENESS_BOUNDS) + 1)
        self.busy = 0.0
        """Seconds spent outside of epoll."""

    # From any thread.

    def start(self) -> None:
        """Begin; sockets that are to be served have been named by then."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._own_thread.start()

    def post(self, command: Command) -> None:
        """Have something done on this thread, after what was posted before."""
        self._commands.append(command)
        if self._asleep:
            self._asleep = False
            self.wake()

    def wake(self) -> None:
        """Turn the loop once more."""
        if not self._over:
            os.write(self._wake, _WAKE)

    def stop(self) -> None:
        """End after what was posted before; returns when the thread has ended. What is posted later is lost."""
        self.post(self._halt)
        if self._own_thread.ident is not None:
            self._own_thread.join()
        self._over = True
        self._epoll.close()
        os.close(self._wake)

    def serve(self, socket: Readable) -> None:
        """Read this socket; before `start`."""
        self._readers[socket.fileno()] = socket
        self._epoll.register(socket.fileno(), select.EPOLLIN)

    # On its own thread.

    def aside(self, method: Callable[..., None], *arguments: Any) -> None:
        """Have something done on the event loop, after what was said before."""
        self._told.append((method, arguments))

    def note(self, leg: MediaLeg) -> None:
        """The leg's deadline may have come nearer."""
        if not leg.closed:
            self._schedule.note(leg)

    def forget(self, leg: MediaLeg) -> None:
        """The leg is closed."""
        self._schedule.forget(leg)

    def guarded(self, leg: MediaLeg, work: Command, now: float) -> None:
        """Do something for a call; what goes wrong is that call's end and nobody else's."""
        if leg.closed:
            return
        try:
            work(now)
        except Exception as error:
            self._on_failure(leg, error)
        self.note(leg)

    def _run(self) -> None:
        try:
            self._turn()
        except Exception as error:
            logs.logger(__name__).critical("the media loop died", exc_info=error)
            self._on_death(error)

    def _turn(self) -> None:
        poll, schedule, readers = self._epoll.poll, self._schedule, self._readers
        next_tick = monotonic()
        woken = before = 0.0
        behind = False
        while self._running:
            now = monotonic()
            if woken - before < CROWDED and now < woken + TURN and not behind:
                sleep(woken + TURN - now)
                now = monotonic()
            wait = 0.0 if behind else min(schedule.next(), next_tick) - now
            if 0.0 < wait < EPOLL_STEP:
                sleep(wait)
            elif wait > 0.0:
                self._asleep = True  # before the commands are looked at, or one could be posted in between
            events = poll(wait // EPOLL_STEP * EPOLL_STEP if self._asleep and not self._commands else 0.0)
            self._asleep = False
            before, now = woken, monotonic()
            woken, behind = now, False
            if schedule.next() > now - STALLED:
                self._send_what_is_due(now)
            for descriptor, _ in events:
                reader = readers.get(descriptor)
                if reader is not None:
                    behind = reader.receive(monotonic) or behind
                else:
                    os.eventfd_read(self._wake)
            now = monotonic()
            self.obey(now)
            self._send_what_is_due(now)
            if now >= next_tick:
                self._on_tick(now)
                next_tick = now + TICK
            if self._told:
                told, self._told = self._told, []
                self._inbox.post_all(told)
            self.busy += monotonic() - woken

    def obey(self, now: float) -> None:
        """Do what was posted by now."""
        commands = self._commands
        if not commands:
            return
        for _ in range(len(commands)):
            command = commands.popleft()
            try:
                command(now)
            except Exception:  # one call's mistake must not stop the clock of the others
                logs.logger(__name__).exception("a command to the media loop failed")

    def _send_what_is_due(self, now: float) -> None:
        schedule = self._schedule
        while (popped := schedule.pop(now)) is not None:
            due, leg = popped
            if due > 0.0:  # what is due at once has no time to be late for
                self.lateness[bisect_left(LATENESS_BOUNDS, now - due)] += 1
            try:
                leg.poll(now)
            except Exception as error:
                self._on_failure(leg, error)
            self.note(leg)
        for reader in self._readers.values():
            reader.flush(now)

    def _halt(self, _now: float) -> None:
        self._running = False
