"""Whether an Opus packet carries in-band FEC: what tests look at to see that it was really sent."""


def carries_fec(payload: bytes) -> bool:
    """Whether the packet describes the frame before it as well (LBRR flag, RFC 6716, 4.2.3 and 4.2.4)."""
    if len(payload) < 2 or payload[0] & 3:
        return False  # only code 0 (one frame) is looked into: what WebRTC senders make
    toc = payload[0]
    if toc >> 3 >= 16:
        return False  # CELT has no in-band FEC
    frame_samples = (480, 960, 1920, 2880)[toc >> 3 & 3] if toc >> 3 < 12 else (480, 960)[toc >> 3 & 1]
    frames = max(1, frame_samples // 960)
    mid = payload[1] >> (7 - frames) & 1
    if not toc & 4 or 6 - 2 * frames < 0:
        return bool(mid)
    return bool(mid or payload[1] >> (6 - 2 * frames) & 1)
