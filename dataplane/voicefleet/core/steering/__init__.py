"""Where a call runs: the relays that its client is offered and the transceivers that are asked to own it. Sans-IO."""
