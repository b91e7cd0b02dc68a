"""Tables whose bytes are elsewhere: in object stores, and what keeps copies of them nearer."""
