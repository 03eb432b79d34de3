"""Builds on Google Cloud Dataflow: submitting them, and a Flex Template."""
