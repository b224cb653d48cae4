"""The Kubernetes operator: four custom resources become a fleet that stays healthy."""
