"""Runs one target in a process of its own and reads from libFuzzer's log what came of it."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz import canary

ROOT: Final = Path(__file__).parents[2]
CORPUS: Final = ROOT / "tests" / "fuzz" / "corpus"
SCRATCH: Final = ROOT / ".cache" / "fuzz"
"""New finds collect here from run to run, so that a long run goes on where the last one stopped."""
ARTIFACTS: Final = ROOT / "artifacts" / "fuzz"
MAX_INPUT: Final = 65_535
INPUT_SECONDS: Final = 20
"""Of wall time for one input. The finer bound, of processor time, is in the oracles; this one ends endless loops."""
GRACE: Final = 120.0
"""Seconds for starting, replaying the corpus and writing the log, on a machine that is busy with other things."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one target's run showed."""

    target: str
    ok: bool
    executions: int
    per_second: int
    coverage: int
    features: int
    finding: Path | None
    """The input that failed, if there is one."""
    log: str


def fuzz(target: str, seconds: int) -> Outcome:
    """Fuzz from the kept corpus and what earlier runs found."""
    scratch = SCRATCH / target
    scratch.mkdir(parents=True, exist_ok=True)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT}",
        f"-timeout={INPUT_SECONDS}",
        f"-artifact_prefix={ARTIFACTS}/{target}-",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        str(scratch),
    ]
    if (CORPUS / target).is_dir():
        arguments.append(str(CORPUS / target))
    return _outcome(target, *_run(target, arguments, seconds + GRACE))


def finds_the_canary() -> bool:
    """Whether a planted fault is found, saved and told; leaves nothing behind."""
    outcome = fuzz(canary.NAME, 60)
    if outcome.finding is not None:
        outcome.finding.unlink(missing_ok=True)
    return not outcome.ok and outcome.finding is not None and canary.FAULT in outcome.log


def keep(target: str) -> int:
    """Add to the kept corpus the smallest of the new finds that reach code which nothing in it reaches; how many."""
    kept = CORPUS / target
    kept.mkdir(parents=True, exist_ok=True)
    before = len(list(kept.iterdir()))
    arguments = ["-merge=1", "-use_counters=0", f"-max_len={MAX_INPUT}", str(kept), str(SCRATCH / target)]
    code, log = _run(target, arguments, 600 + GRACE)
    if code:
        raise RuntimeError(f"{target}: the corpora could not be merged\n{log[-2000:]}")
    return len(list(kept.iterdir())) - before


def _run(target: str, arguments: Sequence[str], limit: float) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.fuzz.target", target, *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return 1, (late.output or b"").decode(errors="replace") + f"\nstill running after {limit:.0f} s\n"
    return done.returncode, done.stdout.decode(errors="replace")


def _outcome(target: str, code: int, log: str) -> Outcome:
    executions = _last(r"stat::number_of_executed_units:\s+(\d+)", log) or _last(r"^#(\d+)\s", log)
    saved = re.findall(r"Test unit written to (\S+)", log)
    return Outcome(
        target=target,
        ok=code == 0 and executions > 0,
        executions=executions,
        per_second=_last(r"stat::average_exec_per_sec:\s+(\d+)", log) or _last(r"exec/s: (\d+)", log),
        coverage=_last(r"cov: (\d+)", log),
        features=_last(r"ft: (\d+)", log),
        finding=Path(saved[-1]) if saved else None,
        log=log,
    )


def _last(pattern: str, log: str) -> int:
    found = re.findall(pattern, log, re.MULTILINE)
    return int(found[-1]) if found else 0
