"""HDF5 files of nested mappings, tables and arrays."""
