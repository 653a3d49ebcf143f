"""A repository: made and opened, its runs and exposures, and the one way to register a dataset in it.

Imports `..configuration`, `..files`, `..images` and `..formats`.
"""
