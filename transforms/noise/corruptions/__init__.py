"""Corruptions, one a file."""
