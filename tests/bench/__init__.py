"""What voicefleet costs, each figure beside a yardstick that was measured in the same run.

A bench is a module `tests/bench/NAME.py` with a `TITLE` (one line) and `run(quick) -> Report`. `scripts/bench NAME`
runs it, prints its table and its bars, and fails when a bar is missed. `quick` ends within 50 s and may be less exact.
"""
