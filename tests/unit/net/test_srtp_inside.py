"""What `net/srtp.py` uses of pylibsrtp's inside, so that a new version of it is looked at before it is taken."""

from pylibsrtp import ERRORS, Policy, Session
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found]


def test_a_session_has_a_context_and_a_buffer_as_large_as_the_largest_packet() -> None:
    session = Session(Policy(key=bytes(30), ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    assert ffi.typeof(session._cdata) is ffi.typeof("char[]") and len(session._buffer) == 1500
    assert ffi.typeof(session._srtp[0]).kind == "pointer"


def test_libsrtp_returns_the_numbers_that_its_errors_are_listed_by() -> None:
    assert lib.srtp_err_status_ok == 0
    assert ERRORS[7] == "authentication failure" and ERRORS[9] == "replay check failed (bad index)"
    assert callable(lib.srtp_protect) and callable(lib.srtp_unprotect)
