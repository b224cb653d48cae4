"""What this machine itself can do for a relay."""

import socket

from voicefleet.cli.doctor.finding import Finding, bad, good
from voicefleet.net.kernel_program import KernelProgram, NoKernelTier


def kernel_tier() -> Finding:
    """Whether a relay could forward in the kernel here: its program is loaded, and attached nowhere."""
    about = "kernel tier"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        program = KernelProgram(port, 100)
    except NoKernelTier as reason:
        return bad(
            about,
            f"relays on this machine forward in userspace, at several times the cost: {reason}",
            "it takes Linux 5.11, CAP_BPF, CAP_NET_ADMIN, libbpf 1.x and a wheel built with clang; or leave datapath: "
            "Userspace",
        )
    program.close()
    return good(about, "relays on this machine can forward in the kernel")
