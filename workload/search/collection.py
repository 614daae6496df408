"""The collection that is searched: its schema stands in ``places.json`` and is created on first use.

Who asks names the alias, who writes names the collection. A schema that changes gets another ``name`` there
(``places-2``); the new collection is filled beside the old one, and the alias moves when it is full (README.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import NotIndexed
from search.typesense import Typesense

FILE = Path(__file__).with_name("places.json")


@dataclass(frozen=True)
class Collection:
    """``places.json``.

    Attributes
    ----------
    alias
        The name that stays.
    schema
        As Typesense takes it; its ``name`` is the collection's.
    query_by
        The fields that are searched, the weightiest first.
    """

    alias: str
    schema: dict[str, Any]
    query_by: str

    @property
    def name(self) -> str:
        """The collection's own name."""
        return str(self.schema["name"])

    @classmethod
    def read(cls, file: Path = FILE) -> Collection:
        """Read the file beside this one."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))

    def ensure(self, server: Typesense) -> None:
        """Create the collection, and the alias for the very first one, if they are not there."""
        try:
            server.collection(self.name)
        except NotIndexed:
            server.create_collection(self.schema)
        try:
            server.alias(self.alias)
        except NotIndexed:
            server.point_alias(self.alias, self.name)

    def publish(self, server: Typesense) -> None:
        """Let searches see this collection: for a new schema, when everything was written again."""
        self.ensure(server)
        server.point_alias(self.alias, self.name)
