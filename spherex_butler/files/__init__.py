"""Where bytes come from, and how a file is put safely in its place.

Imports `..formats`, ``..errors`` and `lsst.resources`; nothing of Butler.
"""
