"""What the files of a table say of the places that they are in; most are in one."""

from __future__ import annotations

from collections.abc import Sequence


class OnePlace:
    """The part of ``TableFiles`` that those in several places have otherwise."""

    __slots__ = ()

    @property
    def places(self) -> tuple[str, ...]:
        """Path or URL of each copy that is read, that of the table first; () where there is one place."""
        return ()

    @property
    def left_out_places(self) -> Sequence[tuple[str, str]]:
        """Names of the places that are not read from, with the reason."""
        return ()

    def forget(self) -> None:
        """Open everything anew at the next load: objects were replaced by what they should be."""
