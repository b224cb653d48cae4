"""How a command fails: one sentence, the next step, and an exit code that a script can tell apart."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    """It did what it was asked to."""
    FAILED = 1
    """It ran, and the result is bad: a check found problems, a load went beyond its limits, a part did not start."""
    USAGE = 2
    """The command line itself is wrong."""
    INVALID = 3
    """A file is missing, is no YAML, or says what is not allowed."""
    UNREACHABLE = 4
    """There is no fleet or no cluster to talk to, or it does not answer."""
    FORBIDDEN = 5
    """It answers, and does not allow this: a role or a key is missing."""
    TAKEN = 6
    """A port that was asked for belongs to another process."""
    NOT_FOUND = 7
    """There is no such call, relay, transceiver or fleet."""


class Failure(Exception):
    """What a user reads instead of a traceback."""

    def __init__(self, what: str, next_step: str = "", exit: Exit = Exit.FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step
        self.exit = exit

    def sentence(self) -> str:
        """What happened, and what to do."""
        return f"{self.what}; {self.next_step}" if self.next_step else self.what
