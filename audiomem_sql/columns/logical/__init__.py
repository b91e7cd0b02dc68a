"""Logical types: what a column means whose values the engine stores as INTEGER, BLOB or TEXT.

A DECIMAL(12, 2) is stored as the integer of its hundredths, a DATE as its days, a UUID as its 16 bytes, a
list as the bytes of its items. The stored forms are in the order of the values, so zone maps, keys, filters
and sorting work on them as on any other column. What comes in is turned into them at the doors, and back.

``node`` and ``spelling`` name types, ``arrow_forms`` says what they are in Arrow, ``forms`` turns arrays of
Arrow into stored ones and back, by ``fixed`` and, for lists, structs and maps, ``nested``. ``parsing`` takes
single values, ``casting`` whatever users bring, and ``texts`` makes the images that SQLite shows.
"""
