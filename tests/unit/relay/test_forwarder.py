"""The relay's logic as stories: packets and times in, actions out."""

import itertools
import random
from dataclasses import dataclass, field

import pytest

from voicefleet.core.relay.actions import Accelerate, Action, Confirmed, LookUp, ToClient, ToTransceiver
from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.flow import Buffer, Client
from voicefleet.core.relay.forwarder import LEFT, Forwarder
from voicefleet.core.relay.hop_networks import HopNetworks
from voicefleet.core.relay.knowledge import Surroundings
from voicefleet.core.relay.limits import Limits
from voicefleet.wire import hop, stun
from voicefleet.wire.hop import Flag, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import TO_THE_RELAY, Route, ice_password, mint

KEY = FleetKey(1, bytes(range(32)), 0.0, None)
RING = KeyRing("demo", (KEY,))
HOME: Client = ("192.0.2.10", 5000)
MOBILE: Client = ("198.51.100.7", 6000)
ONE = ("10.0.0.1", 4478)
TWO = ("10.0.0.2", 4478)


@dataclass
class Wire:
    """A public socket that sends nowhere."""

    local: tuple[str, int] = ("203.0.113.1", 3478)

    def send(self, payload: Buffer, client: Client, /) -> object:
        raise AssertionError("the core sends nothing itself")


@dataclass
class Relay:
    """A forwarder, a clock, and transceivers that answer."""

    limits: Limits = field(default_factory=Limits)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.wire = Wire()
        self.kernel_saw: dict[Client, float] = {}
        around = Surroundings(
            HopNetworks(["10.0.0.0/24"]),
            random.Random(1).randbytes,
            lambda _client: self.wire,
            lambda flow: self.kernel_saw.get(flow.client, 0.0),
        )
        self.core = Forwarder(RING, KEY, around, self.limits, self.now)
        self._transactions = itertools.count()

    def token(self, where: tuple[str, int] = ONE, counter: int = 1, generation: int = 1) -> str:
        return mint(Route(*where, generation, counter), KEY, RING.fleet_tag)

    def check(self, token: str, client: Client = HOME, password: bytes | None = None) -> list[Action]:
        secret = ice_password(token.encode(), KEY) if password is None else password
        transaction = next(self._transactions).to_bytes(12)
        request = stun.binding_request(transaction, f"{token}:peer", secret, priority=1, controlling=2)
        return self.core.from_client(request, client, self.wire, self.now)

    def answers(
        self, client: Client = HOME, where: tuple[str, int] = ONE, payload: bytes = b"\1\1answer"
    ) -> list[Action]:
        header = hop.seal(Kind.DATA, Flag.DOWNLINK, client[:2], KEY)
        return self.core.from_hop(header + payload, where, self.now)

    def media(self, client: Client = HOME, ssrc: int = 7) -> list[Action]:
        packet = b"\x80\x6f" + bytes(6) + ssrc.to_bytes(4) + b"voice"
        return self.core.from_client(packet, client, self.wire, self.now)

    def established(self, client: Client = HOME, where: tuple[str, int] = ONE, counter: int = 1) -> str:
        token = self.token(where, counter)
        assert sent_to(self.check(token, client)) == [where]
        assert any(isinstance(action, Confirmed) for action in self.answers(client, where))
        return token

    def passes(self, seconds: float) -> list[Action]:
        actions: list[Action] = []
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            actions += self.core.tick(self.now)
        return actions


def sent_to(actions: list[Action]) -> list[tuple[str, int]]:
    return [action.peer.address for action in actions if isinstance(action, ToTransceiver)]


def answered(actions: list[Action]) -> list[bytes]:
    return [bytes(action.payload) for action in actions if isinstance(action, ToClient)]


def test_a_verified_check_opens_a_flow_that_only_the_transceiver_confirms() -> None:
    relay = Relay()
    token = relay.token()
    assert sent_to(relay.check(token)) == [ONE]
    assert HOME in relay.core.table.pending and HOME not in relay.core.flows
    actions = relay.answers()
    assert answered(actions) == [b"\1\1answer"]
    assert HOME in relay.core.flows and not relay.core.table.pending


def test_media_of_a_confirmed_flow_goes_to_its_transceiver_under_one_header() -> None:
    relay = Relay()
    relay.established()
    (first, accelerate) = relay.media()
    (second,) = relay.media()
    assert isinstance(first, ToTransceiver) and isinstance(second, ToTransceiver) and isinstance(accelerate, Accelerate)
    assert first.header is second.header
    assert hop.open(first.header, RING) == (Kind.DATA, Flag(0), HOME, 1)


@pytest.mark.parametrize(
    ("drop", "token", "password"),
    [
        (Drop.STUN_BAD_INTEGRITY, mint(Route(*ONE, 1, 1), KEY, RING.fleet_tag), b"guess"),
        (Drop.TOKEN_MALFORMED, "short", b"x"),
        (Drop.TOKEN_FOREIGN_FLEET, mint(Route(*ONE, 1, 1), KEY, RING.fleet_tag ^ 1), b"x"),
        (Drop.TOKEN_UNKNOWN_KEY, mint(Route(*ONE, 1, 1), FleetKey(2, bytes(32), 0.0, None), RING.fleet_tag), b"x"),
        (Drop.TOKEN_FORGED, mint(Route(*ONE, 1, 1), FleetKey(1, bytes(32), 0.0, None), RING.fleet_tag), b"x"),
    ],
)
def test_who_cannot_prove_a_token_costs_no_state_and_gets_no_answer(drop: Drop, token: str, password: bytes) -> None:
    relay = Relay()
    assert relay.check(token, password=password) == []
    assert relay.core.counters.drops[drop] == 1
    assert len(relay.core.table) == 0 and len(relay.core.peers) == 0


def test_a_check_that_belongs_to_no_call_is_answered_by_the_relay_itself_and_leaves_nothing() -> None:
    """So who has the fleet's key sees whether the relay is reached, though there is no transceiver yet."""
    relay = Relay()
    token = relay.token((ONE[0], TO_THE_RELAY))
    (answer,) = answered(relay.check(token))
    message = stun.decode(answer)
    assert message.cls is stun.Class.SUCCESS and message.mapped_address == HOME
    assert message.integrity_at is not None
    assert stun.integrity_ok(answer, message.integrity_at, ice_password(token.encode(), KEY))
    assert len(relay.core.table) == 0 and len(relay.core.peers) == 0
    assert relay.check(token, password=b"guess") == []


def test_a_token_that_points_outside_of_the_hop_networks_is_not_followed_even_if_we_minted_it() -> None:
    relay = Relay()
    assert relay.check(relay.token(("169.254.169.254", 80))) == []
    assert relay.core.counters.drops[Drop.HOP_NOT_ALLOWED] == 1


def test_a_reused_address_with_another_token_moves_to_that_tokens_owner() -> None:
    relay = Relay()
    relay.established()
    assert sent_to(relay.check(relay.token(TWO, 2))) == [TWO]
    assert sent_to(relay.media()) == [ONE], "until the new owner answers, the old call goes on"
    relay.answers(where=TWO)
    assert sent_to(relay.media()) == [TWO]


def test_a_verified_check_from_a_new_address_brings_the_call_there() -> None:
    relay = Relay()
    token = relay.established()
    assert sent_to(relay.check(token, MOBILE)) == [ONE]
    relay.answers(MOBILE)
    assert sent_to(relay.media(MOBILE)) == [ONE]


def test_media_from_a_new_address_is_carried_as_unverified_and_believed_once_the_transceiver_says_moved() -> None:
    relay = Relay()
    relay.established()
    relay.media()
    (roamed,) = relay.media(MOBILE)
    assert isinstance(roamed, ToTransceiver)
    assert hop.open(roamed.header, RING).flags == Flag.UNVERIFIED | Flag.ROAMED
    assert MOBILE not in relay.core.flows
    moved = hop.seal(Kind.MOVED, Flag.DOWNLINK, MOBILE[:2], KEY)
    old = hop.pack_address(HOME[0]) + HOME[1].to_bytes(2)
    relay.core.from_hop(moved + old, ONE, relay.now)
    assert MOBILE in relay.core.flows
    assert answered(relay.answers(MOBILE)) == [b"\1\1answer"]


def test_a_guessed_ssrc_is_forwarded_only_within_a_rate() -> None:
    relay = Relay(Limits(roaming_rate=10))
    relay.established()
    relay.media()
    carried = sum(len(sent_to(relay.media(MOBILE))) for _ in range(100))
    assert carried == 10
    assert relay.core.counters.drops[Drop.ROAMING_OVER_RATE] == 90


def test_unknown_media_asks_the_session_map_once_and_goes_on_with_what_it_says() -> None:
    relay = Relay()
    assert relay.media() == [LookUp(HOME)]
    assert relay.media() == []
    relay.core.found(HOME, ONE, 1, relay.now)
    assert sent_to(relay.media()) == [ONE]
    relay.core.found(MOBILE, ONE, 1, relay.now)
    assert MOBILE not in relay.core.flows, "an answer to a question that nobody asked"


def test_after_a_restart_the_transceivers_own_packets_bring_a_flow_back() -> None:
    relay = Relay()
    assert answered(relay.answers()) == [b"\1\1answer"]
    assert sent_to(relay.media()) == [ONE]


@pytest.mark.parametrize(
    ("drop", "datagram", "source"),
    [
        (Drop.HOP_STRANGER, b"x", ("172.16.0.1", 1)),
        (Drop.HOP_MALFORMED, b"x", ONE),
        (
            Drop.HOP_FORGED,
            hop.seal(Kind.DATA, Flag.DOWNLINK, ("192.0.2.10", 5000), FleetKey(1, bytes(32), 0.0, None)),
            ONE,
        ),
        (Drop.HOP_REFLECTED, hop.seal(Kind.DATA, Flag(0), ("192.0.2.10", 5000), KEY), ONE),
        (Drop.HOP_WRONG_PEER, hop.seal(Kind.DATA, Flag.DOWNLINK, ("192.0.2.10", 5000), KEY), TWO),
    ],
)
def test_nobody_but_the_flows_own_transceiver_reaches_its_client(
    drop: Drop, datagram: bytes, source: tuple[str, int]
) -> None:
    relay = Relay()
    relay.established()
    assert relay.core.from_hop(datagram, source, relay.now) == []
    assert relay.core.counters.drops[drop] == 1


def test_a_transceiver_that_answers_no_ping_is_gone_and_its_calls_are_told_with_their_own_password() -> None:
    relay = Relay()
    token = relay.established()
    password = ice_password(token.encode(), KEY)
    relay.passes(1.0)
    relay.check(token)
    refused = answered(relay.passes(3.0))
    assert len(refused) == 1
    message = stun.decode(refused[0])
    assert message.error is not None and message.error[0] == 400
    assert message.integrity_at is not None and stun.integrity_ok(refused[0], message.integrity_at, password)
    assert len(answered(relay.check(token))) == 1, "later checks are refused at once"


def test_one_word_of_the_transceiver_ends_the_suspicion() -> None:
    relay = Relay()
    token = relay.established()
    relay.passes(5.0)
    assert answered(relay.check(token))
    relay.answers()
    assert sent_to(relay.check(token)) == [ONE] and answered(relay.check(token)) == []


def test_a_closed_port_is_believed_at_once() -> None:
    relay = Relay()
    token = relay.established()
    relay.check(token)
    assert len(answered(relay.core.unreachable(ONE, True, relay.now))) == 1


def test_flows_end_when_their_client_is_silent_and_pending_ones_soon() -> None:
    relay = Relay()
    relay.established()
    relay.check(relay.token(ONE, 2), MOBILE)
    relay.passes(relay.limits.pending_for + 2)
    assert MOBILE not in relay.core.table.pending and HOME in relay.core.flows
    relay.passes(relay.limits.idle)
    assert len(relay.core.table) == 0
    assert relay.core.counters.flows_expired == 2


@pytest.mark.parametrize(
    ("limits", "drop", "client_of"),
    [
        (Limits(pending=5), Drop.PENDING_FULL, lambda n: (f"192.0.{n}.1", 1)),
        (Limits(flows=5), Drop.FLOWS_FULL, lambda n: (f"192.0.{n}.1", 1)),
        (Limits(per_address=5), Drop.ADDRESS_FULL, lambda n: ("192.0.2.1", n + 1)),
        (Limits(per_network=5), Drop.NETWORK_FULL, lambda n: (f"192.0.2.{n}", 1)),
    ],
)
def test_no_bound_is_broken_and_known_flows_go_on(limits: Limits, drop: Drop, client_of: object) -> None:
    relay = Relay(limits)
    relay.established(("203.0.113.77", 1))
    assert callable(client_of)
    for n in range(50):
        relay.check(relay.token(ONE, n + 2), client_of(n))
    assert len(relay.core.table) <= 6
    assert relay.core.counters.drops[drop] >= 44
    assert sent_to(relay.media(("203.0.113.77", 1))) == [ONE]


def test_one_call_cannot_fill_the_table_with_its_own_addresses() -> None:
    relay = Relay()
    token = relay.token()
    for port in range(100):
        relay.check(token, ("192.0.2.10", 1000 + port))
    assert len(relay.core.table) == relay.limits.per_token


def test_a_new_key_is_taken_up_by_a_flow_with_its_next_check() -> None:
    relay = Relay()
    token = relay.established()
    relay.media()
    newer = FleetKey(2, bytes(reversed(range(32))), 0.0, None)
    relay.core.use_keys(KeyRing("demo", (KEY, newer)), newer)
    relay.check(token)
    (action,) = (a for a in relay.media() if isinstance(a, ToTransceiver))
    assert action.header[6] == 2


def test_what_no_call_sends_is_dropped_with_its_reason() -> None:
    relay = Relay()
    relay.established()
    send = relay.core.from_client
    for packet, drop in (
        (b"", Drop.EMPTY),
        (b"\x80" + bytes(1400), Drop.TOO_LONG),
        (b"\x05abc", Drop.UNKNOWN_KIND),
        (b"\x40quic", Drop.UNKNOWN_KIND),
        (b"\0\1\0\0garbage", Drop.STUN_MALFORMED),
    ):
        assert send(packet, HOME, relay.wire, relay.now) == []
        assert relay.core.counters.drops[drop] >= 1


def test_a_relay_that_leaves_makes_clients_look_elsewhere_while_their_audio_goes_on() -> None:
    relay = Relay()
    token = relay.established()
    relay.core.leave()
    assert relay.check(token) == [] and relay.core.counters.drops[Drop.LEAVING] == 1
    assert sent_to(relay.media()) == [ONE] and answered(relay.answers()) == [b"\1\1answer"]
    assert sent_to(relay.check(relay.token(counter=2), MOBILE)) == [ONE], "who has nothing else is let in"
    assert not relay.core.left(relay.now)
    relay.passes(LEFT + 0.1)
    assert relay.core.left(relay.now), "its client has moved"


def test_a_flow_that_the_kernel_forwards_is_not_shed_for_its_silence_in_userspace() -> None:
    relay = Relay(Limits(per_token=2))
    token = relay.established(HOME)
    (_, accelerate) = relay.media(HOME)
    assert isinstance(accelerate, Accelerate)
    accelerate.flow.accelerated = True
    assert sent_to(relay.check(token, MOBILE)) == [ONE]
    relay.answers(MOBILE)
    relay.passes(3.0)
    relay.kernel_saw[HOME] = relay.now
    relay.answers(MOBILE)  # the transceiver is there; what it sends says nothing about its client
    newest: Client = ("198.51.100.8", 6000)
    assert sent_to(relay.check(token, newest)) == [ONE]
    assert HOME in relay.core.flows and MOBILE not in relay.core.flows


def test_a_flow_that_the_kernel_forwards_lives_by_what_the_kernel_sees() -> None:
    relay = Relay(Limits(idle=10.0))
    relay.established()
    (_, accelerate) = relay.media()
    assert isinstance(accelerate, Accelerate)
    accelerate.flow.accelerated = True
    for _ in range(5):
        relay.kernel_saw[HOME] = relay.now
        relay.passes(8.0)
        assert HOME in relay.core.flows
    relay.passes(5.0)
    assert HOME not in relay.core.flows


def test_the_kernel_is_told_when_a_clients_checks_arrive_at_another_local_address() -> None:
    relay = Relay()
    token = relay.established()
    (_, accelerate) = relay.media()
    assert isinstance(accelerate, Accelerate)
    accelerate.flow.accelerated = True
    assert not any(isinstance(action, Accelerate) for action in relay.check(token))
    relay.wire = Wire(("203.0.113.2", 3478))
    assert any(isinstance(action, Accelerate) for action in relay.check(token))
    assert accelerate.flow.via is relay.wire
