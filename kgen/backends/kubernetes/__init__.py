"""Kubernetes Jobs: the only package that talks to a cluster."""
