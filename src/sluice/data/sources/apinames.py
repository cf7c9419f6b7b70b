"""`ApiNames`: the words of docstrings, tagged where they name a module, a class, an exception or a builtin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sluice.data.rows import make_table
from sluice.data.source import Source
from sluice.data.sources.apidocs import ApiDocs
from sluice.data.sources.mentions import Inventory
from sluice.part import digest
from sluice.tasks.task import Kind

if TYPE_CHECKING:
    import pyarrow as pa


class ApiNames(Source):
    """Docstrings of installed packages whose names are tagged by what the packages define. Groups are files.

    The tags are silver, not gold: a word that is English as often as code counts as a name only where the docstring
    writes it as code, and that markup is taken away.
    """

    docs: ApiDocs
    """Which docstrings; names are not masked here."""

    def fingerprint(self) -> str:
        """SHA-256 of this configuration and the versions of the packages that are read."""
        return digest({"source": self, "pins": self.docs.pins()})

    def read(self, columns: Mapping[str, Kind]) -> pa.Table:
        """One row a docstring: its words, their tags, its file as group, `file:line` as origin."""
        self.refuse_others(columns, ("tokens", "tags"))
        files, parsed = self.docs.parse()
        inventory = Inventory.of(parsed.classes, files)
        tagged = [inventory.tag(doc.text) for doc in parsed.docs]
        notes = {
            "pins": self.docs.pins(),
            "left_out": {"too_short": parsed.short},
            "unreadable": parsed.unreadable,
        }
        return make_table(
            {"tokens": ["\n".join(tokens) for tokens, _ in tagged], "tags": ["\n".join(tags) for _, tags in tagged]},
            origin=[f"{doc.file}:{doc.line}" for doc in parsed.docs],
            group=[doc.file for doc in parsed.docs],
            notes=notes,
        )
