"""Waits for a fact, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE = 30.0
"""Seconds until a fact that a test waits for should have come true on the slowest machine."""


async def eventually(fact: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Return as soon as the fact is true; fail with `what` if it never is."""
    try:
        async with asyncio.timeout(deadline):
            while not fact():  # noqa: ASYNC110 - what is waited for is outside of this process and has no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"after {deadline:.0f} s still not: {what}") from None


async def eventually_seen(
    look: Callable[[], Awaitable[bool]], what: Callable[[], str], deadline: float = DEADLINE
) -> None:
    """The same for a fact that has to be asked for; `what` is asked when it never came true."""
    try:
        async with asyncio.timeout(deadline):
            while not await look():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"after {deadline:.0f} s still not: {what()}") from None
