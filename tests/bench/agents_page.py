"""Makes docs/figures/agents.md and .json of what `scripts/bench agents... --json FILE` wrote.

`python -m tests.bench.agents_page FILE...`, one file for each part that was run. What is said by hand behind the
figures stays.
"""

import json
import sys
from pathlib import Path
from typing import Final

from tests.bench.page import write_page

_HEAD: Final = """\
# Calls with a model

What one transceiver worker holds on one core while every call talks to a model over the Realtime link, beside a bridge
of stock aiortc and `websockets` in the same run. The server is alone on a core; the callers, behind a relay, and the
model share another. Every caller talks and the model speaks all the time, which is more than people do. A number of
calls is *held* by the rule of [the transceiver](transceiver.md): less than 80% of the core, no frame lost, sending
clock within 2 ms (99th percentile). How long sound takes is measured in the server at half the calls that it holds:
from when a packet would have come had the callers been in time, to the model's socket, with decoding (and the bridge's
jitter buffer), and from the model's sending to the call's queue. The model sends a tenth of a second at a time,
0.3 s before it is heard. Written by `python -m tests.bench.agents_page` from `scripts/bench agents` with `--json`
([the figures](agents.json)).
"""


if __name__ == "__main__":
    write_page("agents", _HEAD, [json.loads(Path(name).read_text()) for name in sys.argv[1:]])
