"""The ICE-lite agent: who gets an answer, and which way the call's packets go."""

import pytest

from voicefleet.core.ice_lite import (
    CHECK_SILENCE,
    CONSENT,
    MAX_PATHS,
    MAX_UNKNOWN,
    MEDIA_SILENCE,
    CheckResult,
    IceLite,
    Path,
)
from voicefleet.wire import stun
from voicefleet.wire.stun import Class, Message

TOKEN, PASSWORD = b"T" * 24, b"p" * 32
NEXT, NEXT_PASSWORD = b"N" * 24, b"q" * 32
HOME = Path(("10.0.0.1", 4000), ("192.0.2.10", 5000))
MOBILE = Path(("10.0.0.1", 4000), ("198.51.100.7", 6000))
SECOND_RELAY = Path(("10.0.0.2", 4000), ("192.0.2.10", 5000))
TRANSACTION = bytes(range(12))


def agent() -> IceLite:
    return IceLite({TOKEN: PASSWORD}, started_at=0.0)


def check(token: bytes = TOKEN, password: bytes = PASSWORD, nominate: bool = False) -> bytes:
    return stun.binding_request(
        TRANSACTION, f"{token.decode()}:peer", password, priority=1, controlling=2, use_candidate=nominate
    )


def test_a_check_is_answered_with_the_address_that_it_came_from() -> None:
    answer = agent().on_datagram(check(), HOME, 1.0)
    assert answer.result is CheckResult.ANSWERED and answer.datagram is not None
    message = stun.decode(answer.datagram)
    assert message.cls is Class.SUCCESS and message.mapped_address == HOME.client
    assert message.integrity_at is not None and stun.integrity_ok(answer.datagram, message.integrity_at, PASSWORD)


def test_nobody_waits_for_a_nomination() -> None:
    ice = agent()
    ice.on_datagram(check(), HOME, 1.0)
    assert ice.chosen == HOME


@pytest.mark.parametrize(
    ("datagram", "result"),
    [
        (b"\0\1garbage", CheckResult.MALFORMED),
        (stun.binding_success(TRANSACTION, ("192.0.2.1", 1), PASSWORD), CheckResult.NOT_A_REQUEST),
        (stun.encode(Message(Class.REQUEST, 1, TRANSACTION, username="T" * 24 + ":x")), CheckResult.NOT_A_REQUEST),
        (check(token=b"X" * 24), CheckResult.WRONG_USER),
        (check(password=b"guess"), CheckResult.NOT_AUTHENTIC),
    ],
)
def test_who_cannot_sign_gets_nothing_and_leaves_no_trace(datagram: bytes, result: CheckResult) -> None:
    ice = agent()
    assert ice.on_datagram(datagram, HOME, 1.0) == (result, None)
    assert not ice.paths and ice.chosen is None


def test_what_must_be_understood_and_is_not_is_named_in_a_420() -> None:
    odd = stun.encode(
        Message(Class.REQUEST, 1, TRANSACTION, username="T" * 24 + ":x", others=((0x7FF0, b""),)), PASSWORD
    )
    answer = agent().on_datagram(odd, HOME, 1.0)
    assert answer.datagram is not None
    refusal = stun.decode(answer.datagram)
    assert refusal.error is not None and refusal.error[0] == 420 and refusal.unknown_attributes == (0x7FF0,)


def test_a_check_full_of_what_nobody_knows_is_not_answered_at_length() -> None:
    others = tuple((0x7000 + number, b"") for number in range(200))
    odd = stun.encode(Message(Class.REQUEST, 1, TRANSACTION, username="T" * 24 + ":x", others=others), PASSWORD)
    answer = agent().on_datagram(odd, HOME, 1.0)
    assert answer.datagram is not None
    assert stun.decode(answer.datagram).unknown_attributes == tuple(range(0x7000, 0x7000 + MAX_UNKNOWN))


def test_two_controlled_sides_are_resolved_by_487() -> None:
    lite = stun.encode(Message(Class.REQUEST, 1, TRANSACTION, username="T" * 24 + ":x", ice_controlled=5), PASSWORD)
    answer = agent().on_datagram(lite, HOME, 1.0)
    assert answer.datagram is not None
    refusal = stun.decode(answer.datagram)
    assert refusal.error is not None and refusal.error[0] == 487


def test_the_clients_nomination_chooses_the_path() -> None:
    ice = agent()
    ice.on_datagram(check(), HOME, 1.0)
    ice.on_datagram(check(), SECOND_RELAY, 1.0)
    assert ice.chosen == HOME
    ice.on_datagram(check(nominate=True), SECOND_RELAY, 1.1)
    assert ice.chosen == SECOND_RELAY


def test_a_nomination_that_is_repeated_does_not_pull_the_call_back_from_where_media_flows() -> None:
    ice = agent()
    ice.on_datagram(check(nominate=True), HOME, 1.0)
    ice.on_datagram(check(nominate=True), MOBILE, 2.0)
    ice.on_media(MOBILE, True, 2.1)
    ice.on_datagram(check(nominate=True), HOME, 2.2)
    assert ice.chosen == MOBILE


def test_a_muted_client_that_goes_back_is_followed_by_its_nomination_alone() -> None:
    ice = agent()
    for moment, path in enumerate((HOME, MOBILE, HOME)):
        ice.on_datagram(check(nominate=True), path, 1.0 + moment)
        assert ice.chosen == path


def test_media_that_moved_takes_the_call_along_within_one_packet() -> None:
    ice = agent()
    ice.on_datagram(check(nominate=True), HOME, 1.0)
    ice.on_media(HOME, True, 5.0)
    ice.on_media(MOBILE, True, 5.02)
    assert ice.chosen == MOBILE


def test_a_packet_that_was_overtaken_moves_nothing() -> None:
    ice = agent()
    ice.on_datagram(check(nominate=True), HOME, 1.0)
    ice.on_datagram(check(), SECOND_RELAY, 1.0)
    ice.on_media(HOME, True, 5.0)
    ice.on_media(SECOND_RELAY, False, 5.01)
    assert ice.chosen == HOME


def test_when_the_chosen_relay_dies_the_call_moves_to_where_the_client_was_heard_since() -> None:
    ice = agent()
    ice.on_datagram(check(nominate=True), HOME, 1.0)
    ice.on_media(HOME, True, 5.0)
    ice.on_datagram(check(), SECOND_RELAY, 5.1)
    ice.reconsider(5.0 + MEDIA_SILENCE - 0.01)
    assert ice.chosen == HOME
    ice.reconsider(5.0 + MEDIA_SILENCE)
    assert ice.chosen == SECOND_RELAY and ice.switches == 1


def test_a_check_through_another_relay_moves_the_call_at_once_when_the_chosen_one_is_silent_already() -> None:
    ice = agent()
    ice.on_datagram(check(nominate=True), HOME, 1.0)
    ice.on_media(HOME, True, 5.0)
    ice.on_datagram(check(), SECOND_RELAY, 5.0 + MEDIA_SILENCE)
    assert ice.chosen == SECOND_RELAY


def test_where_no_media_flows_a_path_is_given_the_time_between_checks() -> None:
    ice = agent()
    ice.on_datagram(check(nominate=True), HOME, 1.0)
    ice.on_datagram(check(), SECOND_RELAY, 2.0)
    ice.reconsider(1.0 + CHECK_SILENCE - 0.01)
    assert ice.chosen == HOME
    ice.reconsider(1.0 + CHECK_SILENCE)
    assert ice.chosen == SECOND_RELAY


def test_a_call_without_another_sign_of_life_stays_where_it_is() -> None:
    ice = agent()
    ice.on_datagram(check(), SECOND_RELAY, 0.5)
    ice.on_datagram(check(nominate=True), HOME, 1.0)
    ice.reconsider(1000.0)
    assert ice.chosen == HOME


def test_media_alone_is_no_consent() -> None:
    ice = agent()
    ice.on_datagram(check(), HOME, 0.0)
    ice.on_media(MOBILE, True, CONSENT)
    assert ice.expired(CONSENT + 0.1)


def test_a_client_that_falls_silent_has_withdrawn_its_consent() -> None:
    ice = agent()
    assert not ice.expired(CONSENT) and ice.expired(CONSENT + 0.1)
    ice.on_datagram(check(), HOME, 20.0)
    assert not ice.expired(20.0 + CONSENT) and ice.expired(20.1 + CONSENT)


def test_an_ice_restart_keeps_the_old_credentials_until_the_client_has_taken_up_the_new() -> None:
    ice = agent()
    ice.on_datagram(check(nominate=True), HOME, 1.0)
    ice.restart(NEXT, NEXT_PASSWORD)
    assert ice.on_datagram(check(), HOME, 2.0).result is CheckResult.ANSWERED
    assert ice.on_datagram(check(NEXT, NEXT_PASSWORD, nominate=True), MOBILE, 3.0).result is CheckResult.ANSWERED
    assert ice.chosen == MOBILE and ice.rounds == 1
    assert ice.on_datagram(check(), HOME, 4.0).result is CheckResult.WRONG_USER


def test_only_the_newest_restart_counts() -> None:
    ice = agent()
    ice.restart(b"X" * 24, b"x" * 32)
    ice.restart(NEXT, NEXT_PASSWORD)
    assert list(ice.credentials) == [TOKEN, NEXT]


def test_paths_are_bounded_and_the_chosen_one_is_never_forgotten() -> None:
    ice = agent()
    ice.on_datagram(check(nominate=True), HOME, 0.0)
    for port in range(200):
        ice.on_datagram(check(nominate=True), HOME, 1.0 + port)
        ice.on_datagram(check(), Path(("10.0.0.1", 4000), ("192.0.2.99", 1000 + port)), 1.0 + port)
    assert len(ice.paths) == MAX_PATHS and HOME in ice.paths and ice.chosen == HOME
    assert len(ice.forgotten) == 201 - MAX_PATHS and not set(ice.forgotten) & set(ice.paths)
