"""What a transceiver is told when it starts."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from voicefleet.contract import Port
from voicefleet.core.turns.budget import Budget
from voicefleet.net.cpu_quota import usable_cores
from voicefleet.net.service_settings import TracedSettings
from voicefleet.net.setting_types import Address, Duration, ExistingFile, HostPort, WebSocketUrl


class TransceiverSettings(TracedSettings):
    """The settings of one transceiver pod or local process."""

    shard: str = "main"
    """The shard it belongs to."""
    hop_listen: Address = HostPort("0.0.0.0", Port.HOP)
    """Where relays send to. Worker n takes the port plus n; with port 0 each takes a free one."""
    workers: Annotated[int | None, Field(ge=1, le=256)] = None
    """Worker processes; unset: one for each core that the container may use."""
    pod_address: str = ""
    """The address that route tokens carry: where relays reach this pod. Needed when `hop_listen` is a wildcard."""
    api_listen: Address = HostPort("0.0.0.0", Port.TRANSCEIVER_API)
    """Where signaling posts offers."""
    direct_listen: Address | None = None
    """A UDP socket for clients that need no relay: a laptop, a test. Worker n takes the port plus n; with port 0 each
    takes a free one. Its address goes into answers."""
    sessions: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Calls that this pod takes, all its workers together."""
    certificate_directory: Path
    """The fleet's certificate as `tls.crt` and `tls.key`."""
    drain_deadline: Duration = 1800.0
    """How long live calls go on after SIGTERM."""
    agent: Literal["echo", "pcm-echo", "realtime", "python"] = "echo"
    """What callers talk to: `echo` says the caller's own frames back, turn by turn to whoever speaks the Realtime
    protocol; `pcm-echo` decodes and encodes them; `realtime` is a model server that speaks that protocol;
    `python` a class of your own."""
    realtime_url: tuple[WebSocketUrl, ...] = ()
    """Where model servers listen; the next one is used when those before it are full or do not answer."""
    realtime_model: Annotated[str, Field(max_length=253)] = ""
    """The model to ask for, when the caller names none."""
    realtime_key_file: ExistingFile | None = None
    """The key that the model servers want, as a Secret mounts it; read again when it changes."""
    realtime_headers: dict[str, str] = Field(default={})
    """More headers for the model servers."""
    realtime_calls: Annotated[int | None, Field(ge=1)] = None
    """Calls that this pod has with one model server at a time, shared out evenly among its workers."""
    realtime_calls_per_minute: Annotated[int | None, Field(ge=1)] = None
    """New calls that it brings to one model server in a minute, shared out likewise."""
    realtime_telephone: bool = True
    """Whether the models take G.711; a caller who speaks it is passed through then."""
    realtime_turns: Literal["model", "voicefleet"] = "model"
    """Who follows the session's `turn_detection`: the model, or our own detector, which sends the model turns only."""
    realtime_interruption: Literal["model", "ear"] = "model"
    """Who notices that a caller speaks over the model: the model, which tells us, or our own ear as well, which is
    quicker and hears coughs too."""

    turn_budget_microphone: Duration = 0.04
    """What a turn may spend from the caller's mouth to here. A stage over its budget is named, told and counted."""
    turn_budget_transcription: Duration = 0.3
    """From there until the end of the turn is seen and, where the model tells them, the words are known."""
    turn_budget_model: Duration = 0.4
    """Until the answer's first word; its first sound, where the model shows no words."""
    turn_budget_speech: Duration = 0.15
    """Until the first sound is at the caller's ear."""
    turn_budget_total: Duration = 0.8
    """From the caller's last word to the first of the answer."""

    @model_validator(mode="after")
    def _reachable(self) -> "TransceiverSettings":
        if not self.pod_address and ip_address(self.hop_listen.host).is_unspecified:
            raise ValueError("VOICEFLEET_POD_ADDRESS is not set; it is needed when VOICEFLEET_HOP_LISTEN is a wildcard")
        return self

    python_agent: Annotated[str, Field(pattern=r"^([A-Za-z_][\w.]*:[A-Za-z_]\w*)?$")] = ""
    """The class that serves calls, as `module:Class`."""
    python_agent_path: Path | None = None
    """A directory to find its module in, besides what is installed."""
    python_agent_memory: Annotated[int, Field(ge=0)] = 1024
    """Megabytes that one call's agent may take beyond what the module takes; 0 is no bound."""
    python_agent_reload: bool = False
    """Look for changes below `python_agent_path`; new calls get the new code."""

    python_agent_interpreter: Path | None = None
    """A Python with the packages that the class needs, such as `/opt/agent/bin/python` of a virtual environment. There
    voicefleet need not be installed, numpy must be. Without it, the class uses voicefleet's own packages."""

    @model_validator(mode="after")
    def _python_class(self) -> "TransceiverSettings":
        if self.agent == "python" and not self.python_agent:
            raise ValueError("VOICEFLEET_PYTHON_AGENT is not set; it is needed when VOICEFLEET_AGENT is python")
        return self

    @model_validator(mode="after")
    def _model_server(self) -> "TransceiverSettings":
        if self.agent == "realtime" and not self.realtime_url:
            raise ValueError("VOICEFLEET_REALTIME_URL is not set; it is needed when VOICEFLEET_AGENT is realtime")
        return self

    @property
    def turn_budget(self) -> Budget:
        """What a turn may take."""
        return Budget(
            self.turn_budget_microphone,
            self.turn_budget_transcription,
            self.turn_budget_model,
            self.turn_budget_speech,
            self.turn_budget_total,
        )

    @property
    def worker_processes(self) -> int:
        """How many there are."""
        return self.workers if self.workers is not None else usable_cores()

    @property
    def hop_address(self) -> str:
        """The address that route tokens carry."""
        return self.pod_address or self.hop_listen.host
