"""File formats: bytes to Python objects and back; each module is its format's specification.

Imports ``..errors`` alone; nothing of Butler.
"""
