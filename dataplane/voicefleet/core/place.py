"""A point on the earth, as relays and clients have one."""

from dataclasses import dataclass


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
