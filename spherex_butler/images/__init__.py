"""Spectral images in memory and as FITS: pixels, headers, PSF, wavelengths, flags and positions.

Imports `..formats` and ``..errors``, ``..names``, ``..constants``; nothing of Butler.
"""
