"""A model server that speaks the Realtime protocol, for tests: what it says and how it fails, they decide."""

from tests.support.realtime_model.replies import Fail, Reply, Speech, Stall, ToolCall
from tests.support.realtime_model.server import ModelServer, model_server

__all__ = ["Fail", "ModelServer", "Reply", "Speech", "Stall", "ToolCall", "model_server"]
