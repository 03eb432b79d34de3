"""The built-in corruptions, one a module: `registry` finds each class with a name and an
`apply`.
"""
