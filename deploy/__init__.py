"""Builds on clusters, and training scripts: the parts that know a machine or a service."""
