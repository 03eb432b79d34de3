"""Builds on Spark: the runner, its job server, worker pools, a local cluster, and submitting a
job.
"""
