"""Nested mappings, tables and arrays in HDF5 files: the specification of the format, and what reads and writes it.

**Files.**  Any HDF5 file is read as a tree of groups and datasets.  In a file
that this package wrote, the root group has an attribute ``spherex_butler``:
JSON with ``"format": 1``.  A file of storage class ``HDF5`` holds the mapping's
keys; one of ``HDF5Table`` a single member ``table``, one of ``HDF5Array`` a
single member ``array``, so that ``HDF5`` reads those too.  Files are HDF5 1.8,
and the same data give the same bytes (with an h5py that can leave out the
times of groups).

**Tags.**  An attribute ``spherex_butler`` of a group or dataset, a JSON object,
says what HDF5 cannot; without one it is a plain group or array.  ``kind`` is
one of

============== ==========================================================
(absent)       a mapping; an array of one or more dimensions
array          an array of no dimension
scalar         a numpy scalar
bool … complex a Python scalar
str            text
bytes          a Python ``bytes``, as numbers
none           `None`, a null dataspace
json           a list or tuple: JSON in which a tuple is ``{"tuple": […]}``
               and a dictionary ``{"dict": {…}}``
quantity       an array with ``unit``
table, column  see below
============== ==========================================================

``dtype`` is given where HDF5 has no such type: a numpy type string, or
``[base, shape]``, or an object with ``names``, ``formats``, ``offsets`` and
``itemsize``.  Unicode is stored as fixed-length UTF-8, times as their int64.
Everything is stored little-endian or as it is native; arrays come back native.

Files written before the first release may also hold text of variable length, a ``titles`` of a
``dtype``, an ``int`` as hexadecimal text, a ``str`` as UTF-8 in numbers, and
the kinds ``numpy.str`` and ``numpy.bytes``, which are read as ``str`` and ``bytes``.

**Keys and attributes.**  A key is a non-empty string without "/" and NUL,
and not ".".  The key ``@attrs`` of a mapping is a mapping that becomes the
attributes of the group; its order and the tags of the values are in the
group's tag ``attributes``, a list of ``[name, tags]``.  The key ``@@attrs``
stands for a member named ``@attrs``, ``@@@attrs`` for ``@@attrs``, and so on.
An attribute is any value, of any size, except a table or a mapping that holds
arrays, and may not be named ``spherex_butler``.

**Values.**  What is read has the type that was written.  Hence subclasses (masked
arrays, `~astropy.coordinates.Angle`, enumerations …) and other classes are
refused, except that any `~collections.abc.Mapping` comes back as `dict`, a
subclass of `~astropy.table.Table` as Table or QTable, and numpy's strings and
bytes as Python's.  A list or tuple is one value, of `None`, bool, int, float,
str, lists, tuples and dictionaries.  Integers of more than 64 bits, text with
lone surrogates, a str with NUL and fields with titles are refused.  Nothing
is pickled.

**Tables.**  A table is a group of kind ``table`` with tags ``class`` (Table
or QTable), ``rows``, ``masked`` and ``meta`` (YAML of `astropy.io.misc.yaml`).
Each column is a member, in order, whose name has "%" and "/" percent-encoded:
a dataset with tags ``unit``, ``description``, ``format``, ``meta``; or, for a
masked column or a mixin such as Time, a group of kind ``column`` with a
dataset for each part that astropy takes the column into, and their assembly
in the tag ``parts`` (YAML).  One dataset a column, rather than one of
compound type as astropy writes it, because HDF5 reads a compound dataset's
chunks whole whichever fields are wanted, and because like values compress
better together.  A table's indices are not kept.

**Compression.**  Arrays below 32 KiB are stored as they are.  The default
recipe is ``gzip``: every HDF5 library reads it, and with the shuffle filter
it takes a noisy float32 image to two thirds, smaller than ``lzf`` does and as
fast.  ``none`` is for data that other programs map into memory.

**Bounds.**  A file cannot take more memory or time than what is in it warrants.
Mappings may be in each other 64 deep, links may lead 1,000 times to what was
met before, text and fields take at most 256 MiB or 64 times what is stored of
them, and of a shape that was not stored at most 64 MiB are read, or 2,048 times
what is stored.  All text is UTF-8 of fixed length: in damaged files libhdf5 searches
for text of variable length for ever.

**Files of other writers.**  Strings of either kind come back as str or
unicode arrays if they are UTF-8 or of variable length, scalars as numpy
scalars; attributes of datasets are in the component ``attributes`` only.
Soft links are followed within the file.  External links, external and
virtual datasets, references and ragged arrays raise an error if you ask for them.
"""
