"""VOTable files: an astropy table, or one of quantities, as IVOA VOTable 1.4.

The data are BINARY2 unless a recipe says otherwise.  `astropy.io.votable`
reads and writes the files.

Names, units, descriptions and the meta ``ucd``, ``utype`` and ``xtype`` of
columns are what VOTable has for them; of the table ``name``, ``ucd``,
``utype`` and ``description`` likewise.  Each of its other meta that is a
string, bool, int, float, complex number or scalar quantity is a ``PARAM``.
One ``INFO`` named ``spherex_butler`` keeps what VOTable cannot say, a JSON object
with the ``meta`` of the table and, by the FIELD's ID, the ``columns``:

``dtype``
    What the values are in numpy, where reading would give another dtype.
    VOTable has no int8, uint16 and uint32, which are written one size wider;
    no uint64, written as int64 where all values fit; no float16, written as
    float32; no bytes, written as text; and strings here are of any length.
``nan``
    Present where NaN is a value of its own and not a missing one.
``shape``
    Of each cell, where it has no elements; only in files from before the first release.
``masked``
    Present if the column is a masked one.
``description``, ``format``, ``meta``
    Of the column; the description also where the FIELD has it on one line, the
    meta without those that are attributes of the FIELD.

The INFO of early files says only what FIELD and TABLE do not.  Values under a
mask are not kept, nor is the order of the meta.
"""
