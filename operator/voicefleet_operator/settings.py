"""What the operator is told when it starts, by its environment."""

from dataclasses import dataclass

from voicefleet.contract import Env


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
    )
