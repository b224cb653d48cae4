"""Any text is an offer or an `OfferError`, and every offer that is read can be answered or refused with a reason."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.sdp.answer import Local, RelayAddress, plan_audio, write_answer
from voicefleet.core.sdp.offer import OfferError, read_offer

OFFERS = [path.read_text() for path in sorted((Path(__file__).parents[1] / "vectors" / "offers").glob("*.sdp"))]
LOCAL = Local("t" * 24, "p" * 32, bytes(32), 7, 1, 99, [RelayAddress("192.0.2.1", 3478)])
pieces = st.sampled_from([line for offer in OFFERS for line in offer.splitlines()]) | st.text(max_size=60)


def serve(text: str) -> None:
    try:
        offer = read_offer(text)
        plan = plan_audio(offer.audio) if offer.audio is not None else None
    except OfferError as error:
        assert str(error)
        return
    answer = write_answer(offer, plan, LOCAL)
    kinds = [line.partition(" ")[0][2:] for line in answer.split("\r\n") if line.startswith("m=")]
    assert kinds == [section.kind for section in offer.sections]


@given(st.text(max_size=400))
def test_any_text_is_an_offer_or_an_offer_error(text: str) -> None:
    serve(text)
    serve("v=0\n" + text)


@given(st.lists(pieces, max_size=60))
def test_lines_of_real_offers_in_any_order_are_served_or_refused(lines: list[str]) -> None:
    serve("\r\n".join(["v=0", *lines]))


@given(
    st.sampled_from(OFFERS),
    st.lists(st.tuples(st.integers(0, 10**6), st.characters(codec="utf-8")), max_size=6),
    st.integers(0, 10**6),
)
def test_a_damaged_or_cut_offer_is_served_or_refused(offer: str, changes: list[tuple[int, str]], cut: int) -> None:
    text = list(offer)
    for at, character in changes:
        text[at % len(text)] = character
    serve("".join(text))
    serve("".join(text[: cut % len(text)]))
