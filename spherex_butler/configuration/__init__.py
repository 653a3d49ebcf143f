"""What Butler is told: configuration files, dimension universe, dataset types, and a check that they are found.

Imports Butler, ``..paths``, ``..constants`` and ``..errors``.
"""
