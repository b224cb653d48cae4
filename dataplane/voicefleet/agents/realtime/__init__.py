"""The link to a model server that speaks the OpenAI Realtime protocol over WebSocket."""
