"""A point on the earth, as relays and clients have one, and how far it is to another."""

from dataclasses import dataclass
from math import asin, atan2, cos, degrees, radians, sin, sqrt
from typing import Final

EARTH_KM: Final = 6371.0
"""The mean radius; the earth's flattening moves no distance by more than 0.6%."""


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees; north and east are positive."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not -90.0 <= self.latitude <= 90.0:
            raise ValueError("whose latitude is not from -90 to 90")
        if not -180.0 <= self.longitude <= 180.0:
            raise ValueError("whose longitude is not from -180 to 180")

    def __str__(self) -> str:
        return f"{self.latitude:g},{self.longitude:g}"


def distance_km(one: Place, other: Place) -> float:
    """The great-circle distance (haversine, which keeps its precision for near points)."""
    south, north = radians(one.latitude), radians(other.latitude)
    half_north = sin((north - south) / 2)
    half_east = sin(radians(other.longitude - one.longitude) / 2)
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half_north**2 + cos(south) * cos(north) * half_east**2)))


def at_distance(place: Place, bearing: float, km: float) -> Place:
    """The place so far away in this direction (radians from north)."""
    angle, south = km / EARTH_KM, radians(place.latitude)
    north = asin(max(-1.0, min(1.0, sin(south) * cos(angle) + cos(south) * sin(angle) * cos(bearing))))
    east = radians(place.longitude) + atan2(
        sin(bearing) * sin(angle) * cos(south), cos(angle) - sin(south) * sin(north)
    )
    return Place(degrees(north), (degrees(east) + 180.0) % 360.0 - 180.0)
