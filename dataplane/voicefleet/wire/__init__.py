"""Wire formats, sans-IO: bytes in, values out; any bytes at all give a value or `WireError`."""
