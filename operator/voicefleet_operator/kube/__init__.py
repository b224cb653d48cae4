"""The operator's only way to the API server: asynchronous, server-side apply, a few typed errors."""
