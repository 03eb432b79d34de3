"""The built-in corruptions, one in each module.

`registry` finds every class here that has `name`, `check` and `apply`.
"""
