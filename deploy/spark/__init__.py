"""Builds on Spark: job server, worker pools, a cluster on the loopback address, submitting to a
real one.
"""
