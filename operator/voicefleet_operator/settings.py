"""What the operator is told when it starts, by its environment."""

from dataclasses import dataclass

from voicefleet.contract import Env, Port


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
    health_port: int = Port.HEALTH
    log_level: str = "info"


def read(environment: dict[str, str]) -> Settings:
    """The settings; `SettingError` for what is missing or wrong."""
    image = environment.get(f"{Env.PREFIX}IMAGE", "")
    if not image:
        raise SettingError(f"{Env.PREFIX}IMAGE is not set; it is the image that the operator runs from, with its tag")
    port = environment.get(f"{Env.PREFIX}HEALTH_PORT", str(Port.HEALTH))
    if not port.isdigit() or int(port) > 65535:
        raise SettingError(f"{Env.PREFIX}HEALTH_PORT is {port}; allowed: a port from 0 to 65535")
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
        health_port=int(port),
        log_level=level,
    )
