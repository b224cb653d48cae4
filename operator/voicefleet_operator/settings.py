"""What the operator is told when it starts, by its environment."""

from dataclasses import dataclass
from typing import Final

from voicefleet.contract import Env, Port

LISTEN: Final = f"0.0.0.0:{Port.HEALTH}"


class SettingError(ValueError):
    """A variable that cannot be used; says which and why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's settings."""

    image: str
    """The image that it runs from, which fleets get unless they name another."""
    namespaces: tuple[str, ...] = ()
    """Namespaces that it is responsible for; none means all."""
    namespace: str = "default"
    """Where it runs."""
    identity: str = "operator"
    """Its pod's name."""
    kubeconfig: str | None = None
    """Outside of a cluster."""
    lease: str = "voicefleet-operator"
    """The Lease by which replicas agree on who acts; operators for different namespaces need different ones."""
    log_level: str = "info"
    health_listen: str = LISTEN
    """Where health and metrics are answered, as host:port; empty for nowhere."""


def read(environment: dict[str, str]) -> Settings:
    """The settings; `SettingError` for what is missing or wrong."""
    image = environment.get(f"{Env.PREFIX}IMAGE", "")
    if not image:
        raise SettingError(f"{Env.PREFIX}IMAGE is not set; it is the image that the operator runs from, with its tag")
    level = environment.get(Env.LOG_LEVEL, "info")
    if level not in ("debug", "info", "warning", "error"):
        raise SettingError(f"{Env.LOG_LEVEL} is {level}; allowed: debug, info, warning, error")
    names = environment.get(f"{Env.PREFIX}NAMESPACES", "")
    return Settings(
        image=image,
        namespaces=tuple(name.strip() for name in names.split(",") if name.strip()),
        namespace=environment.get(f"{Env.PREFIX}NAMESPACE", "default"),
        identity=environment.get(Env.POD, "") or environment.get("HOSTNAME", "operator"),
        kubeconfig=environment.get("KUBECONFIG") or None,
        lease=environment.get(f"{Env.PREFIX}LEASE", "voicefleet-operator"),
        log_level=level,
        health_listen=_listen(environment.get(Env.HEALTH_LISTEN, LISTEN)),
    )


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    if text and not (host and port.isdigit() and int(port) < 65536):
        raise SettingError(f"{Env.HEALTH_LISTEN} is {text}; it has to be an address with a port, such as {LISTEN}")
    return text
