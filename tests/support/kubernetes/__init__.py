"""A real Kubernetes for tests: its programs, built from its Go modules, and a control plane of them."""
