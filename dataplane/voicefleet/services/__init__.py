"""The processes: relay, transceiver, signaling. They never import each other."""
