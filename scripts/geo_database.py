"""Turns the country tables of Debian's package geoip-database into one database of MaxMind's present format.

The tables are binary tries of the former format: nodes of two 24-bit numbers, each the next node or, from a fixed
number on, a country. The present format is a trie as well, so nodes are copied; a writer that inserts network after
network takes minutes for it. The tables' licence allows this and asks for the acknowledgement in the result.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

SOURCE: Final = Path("/usr/share/GeoIP")
TABLES: Final = {"GeoIP.dat": 32, "GeoIPv6.dat": 128}
ATTRIBUTION: Final = "This product includes GeoLite data created by MaxMind, available from http://maxmind.com/"
_COUNTRIES_FROM: Final = 16_776_960
_CODES: Final = (  # noqa: SIM905 - 254 codes, one a line, would be the file
    "-- AP EU AD AE AF AG AI AL AM CW AO AQ AR AS AT AU AW AZ BA BB BD BE BF BG BH BI BJ BM BN BO BR BS BT BV BW BY "
    "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR SX GA GB GD GE GF GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IN IO IQ IR IS IT JM JO "
    "JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD MG MH MK ML MM MN MO MP MQ MR MS "
    "MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO "
    "RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR ST SV SY SZ TC TD TF TG TH TJ TK TM TN TO TL TR TT TV TW TZ "
    "UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT RS ZA ZM ME ZW A1 A2 O1 AX GG IM JE BL MF BQ SS "
).split()
"""The former format numbers countries in this order."""
_NO_COUNTRY: Final = frozenset({"--", "AP", "EU", "A1", "A2", "O1"})
"""Numbers that stand for continents, anonymous proxies, satellites and what is not known."""


Trie = list[tuple[int, int]]
"""Nodes of two numbers: from 0 on another node, below it ~(index of a country); `NOTHING` where nothing is known."""
NOTHING: Final = -1
"""~0: the first country of the list is none."""


def read_table(table: bytes, bits: int) -> Trie:
    """The nodes that can be reached from the first, in their order of visit; raises ValueError for what is no trie."""
    trie: Trie = [(NOTHING, NOTHING)]
    waiting = [(0, 0, 0)]
    while waiting:
        old, new, depth = waiting.pop()
        if depth == bits or old * 6 + 6 > len(table):
            raise ValueError("the table is no trie of this depth")
        children = []
        for at in (old * 6, old * 6 + 3):
            value = int.from_bytes(table[at : at + 3], "little")
            if value < _COUNTRIES_FROM:
                children.append(len(trie))
                waiting.append((value, len(trie), depth + 1))
                trie.append((NOTHING, NOTHING))
            else:
                number = value - _COUNTRIES_FROM
                known = number < len(_CODES) and _CODES[number] not in _NO_COUNTRY
                children.append(~number if known else NOTHING)
        trie[new] = (children[0], children[1])
    return trie


def joined(four: Trie, six: Trie) -> Trie:
    """One trie for both, with IPv4 at ::/96 as the format wants it."""
    trie = list(six)
    at = 0
    for _ in range(95):
        left, right = trie[at]
        if left < 0:
            trie.append((left, left))  # the same was said of all that is below
            trie[at] = (len(trie) - 1, right)
        at = trie[at][0]
    base = len(trie)
    trie[at] = (base, trie[at][1])
    return trie + [(left + base if left >= 0 else left, right + base if right >= 0 else right) for left, right in four]


def written(trie: Trie, built_at: int) -> bytes:
    """The database as a file: nodes, the countries' records, and what it says of itself."""
    data = bytearray()
    offsets = {}
    for number in sorted({~child for node in trie for child in node if child < NOTHING}):
        offsets[number] = len(data)
        data += _encoded({"country": {"iso_code": _CODES[number]}})
    nodes = bytearray()
    for node in trie:
        for child in node:
            value = child if child >= 0 else len(trie) if child == NOTHING else len(trie) + 16 + offsets[~child]
            nodes += value.to_bytes(4, "big")
    about = {
        "node_count": _unsigned(4, len(trie)),
        "record_size": _unsigned(2, 32),
        "ip_version": _unsigned(2, 6),
        "database_type": "voicefleet-Country",
        "languages": ["en"],
        "binary_format_major_version": _unsigned(2, 2),
        "binary_format_minor_version": _unsigned(2, 0),
        "build_epoch": _unsigned(8, built_at),
        "description": {"en": f"Countries, from Debian's geoip-database. {ATTRIBUTION}"},
    }
    return bytes(nodes) + bytes(16) + bytes(data) + b"\xab\xcd\xefMaxMind.com" + _encoded(about)


def _encoded(value: object) -> bytes:
    """A value in the format's own encoding: maps, text, arrays and unsigned numbers are all that is needed."""
    match value:
        case dict():
            return bytes((0xE0 | len(value),)) + b"".join(_encoded(k) + _encoded(v) for k, v in value.items())
        case str():
            text = value.encode()
            head = bytes((0x40 | len(text),)) if len(text) < 29 else bytes((0x40 | 29, len(text) - 29))
            return head + text
        case list():
            return bytes((len(value), 0x04)) + b"".join(map(_encoded, value))
        case bytes():
            return value  # encoded already
        case _:
            raise TypeError(f"{type(value).__name__} is not needed")


def _unsigned(octets: int, value: int) -> bytes:
    """A number of one of the format's sizes, which readers insist on."""
    return {2: b"\xa2", 4: b"\xc4", 8: b"\x08\x02"}[octets] + value.to_bytes(octets)


def convert(tables: Path, target: Path) -> int:
    """Write the database; the number of nodes in it."""
    four, six = (read_table((tables / name).read_bytes(), bits) for name, bits in TABLES.items())
    trie = joined(four, six)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(target.name + ".new")
    beside.write_bytes(written(trie, int(max((tables / name).stat().st_mtime for name in TABLES))))
    beside.replace(target)
    return len(trie)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="scripts/geo-database", description=__doc__.partition("\n")[0])
    parser.add_argument("target", type=Path, help="the database to write")
    parser.add_argument("--tables", type=Path, default=SOURCE, help="where the tables are (default: %(default)s)")
    chosen = parser.parse_args()
    try:
        count = convert(chosen.tables, chosen.target)
    except (OSError, ValueError) as error:
        print(f"scripts/geo-database: {error}; apt-get install geoip-database brings the tables", file=sys.stderr)
        return 1
    print(f"{chosen.target}: {count} nodes, {chosen.target.stat().st_size / 1e6:.1f} MB. {ATTRIBUTION}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
