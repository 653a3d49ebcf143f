"""FITS files: HDUs found and read by byte range, headers parsed on demand, tile compression, units, WCS cards."""
