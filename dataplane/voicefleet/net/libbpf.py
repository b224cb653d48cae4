"""The few calls of libbpf that the kernel tier needs, with types. The system's libbpf.so.1 is opened when it is needed.

A call that fails raises `OSError` with the kernel's error number. Nothing here knows what programs and maps are for.
"""

import ctypes
import errno
import functools
import os
from collections.abc import Iterator, Sequence
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p, create_string_buffer
from pathlib import Path
from typing import Any, Final, NamedTuple

LIBRARY: Final = "libbpf.so.1"
"""Version 1.x: errors are negative returns, whatever libbpf_set_strict_mode said before."""
_INGRESS: Final = 1
_REPLACE: Final = 1
_PERCPU_ARRAY: Final = 6
_LOG: Final = 64 * 1024


class NoLibbpf(OSError):
    """This system has no libbpf that can be used."""


class BpfRefused(OSError):
    """The kernel took neither maps nor program; `strerror` says why, with what its verifier said last."""


class _Hook(Structure):
    _fields_ = [("size", c_size_t), ("ifindex", c_int), ("point", c_int), ("parent", c_uint32)]


class _Filter(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("program", c_int),
        ("flags", c_uint32),
        ("program_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    ]


_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {
    "libbpf_set_print": (c_void_p, c_void_p),
    "libbpf_num_possible_cpus": (c_int,),
    "bpf_object__open_file": (c_void_p, c_char_p, c_void_p),
    "bpf_object__load": (c_int, c_void_p),
    "bpf_object__close": (None, c_void_p),
    "bpf_object__find_map_by_name": (c_void_p, c_void_p, c_char_p),
    "bpf_object__find_program_by_name": (c_void_p, c_void_p, c_char_p),
    "bpf_program__fd": (c_int, c_void_p),
    "bpf_program__set_log_buf": (c_int, c_void_p, c_void_p, c_size_t),
    "bpf_map__fd": (c_int, c_void_p),
    "bpf_map__type": (c_int, c_void_p),
    "bpf_map__key_size": (c_uint32, c_void_p),
    "bpf_map__value_size": (c_uint32, c_void_p),
    "bpf_map__set_max_entries": (c_int, c_void_p, c_uint32),
    "bpf_map_update_elem": (c_int, c_int, c_char_p, c_char_p, ctypes.c_uint64),
    "bpf_map_lookup_elem": (c_int, c_int, c_char_p, c_void_p),
    "bpf_map_delete_elem": (c_int, c_int, c_char_p),
    "bpf_map_lookup_batch": (c_int, c_int, c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_uint32), c_void_p),
    "bpf_map_delete_batch": (c_int, c_int, c_char_p, POINTER(c_uint32), c_void_p),
    "bpf_tc_hook_create": (c_int, POINTER(_Hook)),
    "bpf_tc_attach": (c_int, POINTER(_Hook), POINTER(_Filter)),
    "bpf_tc_detach": (c_int, POINTER(_Hook), POINTER(_Filter)),
    "bpf_tc_query": (c_int, POINTER(_Hook), POINTER(_Filter)),
}


@functools.cache
def library() -> ctypes.CDLL:
    """The library, silenced; raises `NoLibbpf`."""
    try:
        found = ctypes.CDLL(LIBRARY, use_errno=True)
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise NoLibbpf(errno.ENOENT, f"no usable {LIBRARY} on this system: {error}") from None
    found.libbpf_set_print(None)
    return found


class BpfMap:
    """One map by its descriptor, which may come from another process. Keys and values are octets of fixed length."""

    def __init__(self, descriptor: int, key_size: int, value_size: int) -> None:
        found = library()
        self.descriptor: Final = descriptor
        self.key_size: Final = key_size
        self.value_size: Final = value_size
        self._value = create_string_buffer(value_size)
        self._lookup = found.bpf_map_lookup_elem
        self._update = found.bpf_map_update_elem
        self._delete = found.bpf_map_delete_elem

    def get(self, key: bytes) -> bytes | None:
        """The value, if there is one; of a map with a value for each processor, all of them in a row."""
        if _unless(errno.ENOENT, self._lookup(self.descriptor, key, self._value)):
            return self._value.raw
        return None

    def put(self, key: bytes, value: bytes) -> None:
        """Insert or replace; raises OSError E2BIG when the map is full."""
        _check(self._update(self.descriptor, key, value, 0))

    def remove(self, key: bytes) -> bool:
        """Whether it was there."""
        return _unless(errno.ENOENT, self._delete(self.descriptor, key))

    def items(self, batch: int = 1024) -> Iterator[tuple[bytes, bytes]]:
        """All entries of a hash, some thousands a system call. What is inserted or removed meanwhile may be missed."""
        size, width = self.key_size, self.value_size
        keys, values = create_string_buffer(size * batch), create_string_buffer(width * batch)
        cursor = create_string_buffer(max(size, 8))
        count, start, ended = c_uint32(batch), None, False
        while not ended:
            count.value = batch
            result = library().bpf_map_lookup_batch(self.descriptor, start, cursor, keys, values, byref(count), None)
            if result == -errno.ENOSPC and batch < 1 << 20:  # a bucket holds more than the batch
                batch *= 2
                keys, values = create_string_buffer(size * batch), create_string_buffer(width * batch)
                continue
            ended = not _unless(errno.ENOENT, result)
            start = cursor
            raw_keys, raw_values = keys.raw, values.raw
            for at in range(count.value):
                yield raw_keys[at * size : (at + 1) * size], raw_values[at * width : (at + 1) * width]

    def remove_all(self, keys: Sequence[bytes]) -> None:
        """Remove many by few system calls; those that are not there do not matter."""
        at = 0
        while at < len(keys):
            count = c_uint32(len(keys) - at)
            result = library().bpf_map_delete_batch(self.descriptor, b"".join(keys[at:]), byref(count), None)
            at += count.value if _unless(errno.ENOENT, result) else count.value + 1


class BpfObject:
    """A compiled file of programs and maps, in the kernel for as long as this process or an interface has it."""

    def __init__(self, path: Path, program: str, entries: dict[str, int]) -> None:
        """`entries` says how many entries maps may have. Raises `NoLibbpf`, `BpfRefused`."""
        bpf = library()
        self._log = create_string_buffer(_LOG)
        self._object = bpf.bpf_object__open_file(str(path).encode(), None)
        if not self._object:
            raise BpfRefused(ctypes.get_errno(), f"{path.name}: {os.strerror(ctypes.get_errno())}")
        self._program = bpf.bpf_object__find_program_by_name(self._object, program.encode())
        if not self._program:
            self.close()
            raise BpfRefused(errno.ENOENT, f"{path.name} has no program {program}")
        bpf.bpf_program__set_log_buf(self._program, self._log, _LOG)
        for name, most in entries.items():
            bpf.bpf_map__set_max_entries(self._map(name), most)
        result = bpf.bpf_object__load(self._object)
        if result:
            lines = self._log.value.decode(errors="replace").strip().split("\n")
            said = next((line for line in reversed(lines) if not line.startswith("processed ")), "")
            self.close()
            raise BpfRefused(-result, os.strerror(-result) + (f" ({said})" if said else ""))

    @property
    def program(self) -> int:
        """The descriptor of the program."""
        descriptor: int = library().bpf_program__fd(self._program)
        return descriptor

    def map(self, name: str) -> BpfMap:
        """One of its maps."""
        bpf, found = library(), self._map(name)
        size = bpf.bpf_map__value_size(found)
        if bpf.bpf_map__type(found) == _PERCPU_ARRAY:
            size = -(-size // 8) * 8 * processors()
        return BpfMap(bpf.bpf_map__fd(found), bpf.bpf_map__key_size(found), size)

    def close(self) -> None:
        """Let go of it. What is attached to an interface stays there."""
        if self._object:
            library().bpf_object__close(self._object)
            self._object = None

    def _map(self, name: str) -> c_void_p:
        found: c_void_p | None = library().bpf_object__find_map_by_name(self._object, name.encode())
        if found is None:
            raise BpfRefused(errno.ENOENT, f"no map {name}")
        return found


class Filter(NamedTuple):
    """A place among an interface's ingress filters (tc, clsact). Who attaches where something is replaces it."""

    handle: int
    priority: int

    def attach(self, interface: int, program: int) -> None:
        """Let this program see what comes in on an interface."""
        bpf, hook = library(), _hook(interface)
        _unless(errno.EEXIST, bpf.bpf_tc_hook_create(byref(hook)))
        _check(bpf.bpf_tc_attach(byref(hook), byref(self._options(program=program, flags=_REPLACE))))

    def attached(self, interface: int) -> int | None:
        """Id of the program that is here."""
        options = self._options()
        if library().bpf_tc_query(byref(_hook(interface)), byref(options)):
            return None
        return int(options.program_id)

    def detach(self, interface: int) -> None:
        """Leave the place empty. The (empty) clsact stays: others may have put their filters there meanwhile."""
        _unless(errno.ENOENT, library().bpf_tc_detach(byref(_hook(interface)), byref(self._options())))

    def _options(self, program: int = 0, flags: int = 0) -> _Filter:
        return _Filter(ctypes.sizeof(_Filter), program, flags, 0, self.handle, self.priority)


def processors() -> int:
    """How many values a map with one for each processor has."""
    count: int = _check(library().libbpf_num_possible_cpus())
    return count


def _hook(interface: int) -> _Hook:
    return _Hook(ctypes.sizeof(_Hook), interface, _INGRESS, 0)


def _check(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def _unless(expected: int, result: int) -> bool:
    """False for an error that says nothing bad; raises for others."""
    if result == -expected:
        return False
    _check(result)
    return True
