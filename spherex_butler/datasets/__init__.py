"""A dataset of any kind looked at: found by its data ID, and what its file holds, without reading it whole.

Imports the rooms before it, down to ``..repository``.
"""
