"""Loaded by schemathesis: SDP goes over the wire as the text that it is."""

import schemathesis


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def sdp(_context: object, value: object) -> bytes:
    """Whatever was made up, as text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
