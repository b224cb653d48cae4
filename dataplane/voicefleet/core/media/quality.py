"""How good the call sounds, estimated: the E-model (ITU-T G.107) as far as packets can tell.

R starts at 93.2 (no impairment but the network's), loses for delay (Cole and Rosenbluth's fit of Idd) and for loss
(G.107, 7.3). R becomes a mean opinion score by G.107, Annex B.
"""

from typing import Final, NamedTuple

_BEST: Final = 93.2


class CodecRobustness(NamedTuple):
    """What a codec loses by itself, and how well it bears loss (G.113, Appendix I)."""

    impairment: float
    packet_loss: float


OPUS: Final = CodecRobustness(0.0, 20.0)
"""Not in G.113. No impairment at voice bit rates; loss robustness put between G.711 with concealment and without."""
G711: Final = CodecRobustness(0.0, 25.1)
"""With packet loss concealment."""


def rating(delay: float, loss: float, burst_ratio: float, codec: CodecRobustness) -> float:
    """The E-model's R: `delay` mouth to ear in seconds, `loss` 0..1 after all recovery, `burst_ratio` >= 1."""
    milliseconds = delay * 1000
    by_delay = 0.024 * milliseconds + 0.11 * max(0.0, milliseconds - 177.3)
    percent = 100 * loss
    by_loss = codec.impairment
    if percent > 0:
        by_loss += (95 - codec.impairment) * percent / (percent / max(1.0, burst_ratio) + codec.packet_loss)
    return max(0.0, min(100.0, _BEST - by_delay - by_loss))


def mean_opinion_score(r: float) -> float:
    """1.0 (bad) to 4.5 (excellent) for an E-model rating."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)
