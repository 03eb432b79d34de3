"""Builds on Google Cloud Dataflow: the runner, submitting a job, and a Flex Template."""
