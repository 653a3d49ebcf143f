"""Formatters: how each storage class is written to and read from a file."""
