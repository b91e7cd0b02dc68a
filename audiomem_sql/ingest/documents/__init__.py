"""One reader for each kind of document, and the list of them.

A reader is a function that takes the `Content` of a file and yields a `Document` for each text in it. The
list (`registry`) says which names and which first bytes a kind has, and where its reader is; readers are
imported when a file needs them.
"""
