"""The columns that a task's results become."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column of predictions."""

    field: str
    """The field of the result that it shows."""
    type: pa.DataType
    label: str | None = None
    """The entry of the field, where that is a mapping."""
    as_json: bool = False

    @property
    def name(self) -> str:
        """Its name without the prefix."""
        return self.field if self.label is None else f"{self.field}_{self.label}"

    def value(self, result: BaseModel) -> Any:
        """What a result has in it."""
        if self.as_json:
            return json.dumps(result.model_dump(mode="json", include={self.field})[self.field], ensure_ascii=False)
        value = getattr(result, self.field)
        return value if self.label is None else value.get(self.label)


def result_columns(result: type[BaseModel], labels: Sequence[str], scores: bool) -> list[Column]:
    """A column a field of the result; numbers by label are one column a label, where `scores` asks for them.

    What is neither a plain value nor numbers by label is written as JSON.
    """
    import pyarrow as pa

    plain = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    columns: list[Column] = []
    for name, field in result.model_fields.items():
        kind = _without_none(field.annotation)
        if kind in plain:
            columns.append(Column(name, plain[kind]))
        elif get_origin(kind) is dict and get_args(kind) == (str, float):
            columns += [Column(name, pa.float64(), label) for label in labels if scores]
        else:
            columns.append(Column(name, pa.string(), as_json=True))
    return columns


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def predictions(columns: Sequence[Column], results: Sequence[BaseModel | None]) -> pa.Table:
    """One row a result; nulls where there is none."""
    import pyarrow as pa

    values = [[None if one is None else column.value(one) for one in results] for column in columns]
    arrays = [pa.array(value, column.type) for value, column in zip(values, columns, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])
