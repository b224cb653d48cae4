"""The outside world: sockets, files, Redis, and the adapters to libraries that do I/O."""
