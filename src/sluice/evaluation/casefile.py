"""`Cases`: a yaml file of behavioural cases, read so that what is wrong in it is named with its line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from sluice.errors import UserError
from sluice.evaluation.cases import AnyCase, Case, LabelCase, Writing
from sluice.part import Part
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import yaml


class Cases(Part):
    """What a file of cases holds."""

    cases: tuple[AnyCase, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Cases:
        """The cases of a file, each with a name of its own."""
        import yaml

        try:
            loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
            root = loader.get_single_node()
            cases = cls.model_validate(loader.construct_document(root) if root else {})
        except OSError as error:
            raise UserError(f"evaluate.cases={path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"evaluate.cases={path} is not UTF-8: byte {error.start} is {error.reason}") from error
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise UserError(f"{path}:{line}: this is not yaml: {error.problem}") from error
        except ValidationError as error:
            raise UserError(_explain(path, root, error)) from error
        if not cases.cases:
            raise UserError(f"evaluate.cases={path} holds no case: expected `cases:` and a list of them under it")
        seen: set[str] = set()
        for index, case in enumerate(cases.cases):
            if case.name in seen:
                line = _line(root, ("cases", index, "name"))
                raise UserError(f"{path}:{line}: a case before it has the name '{case.name}' too; give each its own")
            seen.add(case.name)
        return cases

    def check(self, task: Task, labels: Sequence[str]) -> None:
        """Raise UserError for a case about what the task does not answer or take, or a label that there is not."""
        for case in self.cases:
            if isinstance(case, Writing) and not task.writes:
                raise UserError(f"the case '{case.name}' is about texts, which task={task.name} does not write")
            if isinstance(case, LabelCase) and not task.abstains:
                raise UserError(f"the case '{case.name}' is about labels, which task={task.name} does not choose")
            for text in case.inputs() if isinstance(case, LabelCase) else ():
                if told := task.refusal(text):
                    raise UserError(f"the case '{case.name}' asks {text[:40]!r}: {told}")
        self.check_labels(labels)

    def check_labels(self, labels: Sequence[str]) -> None:
        """Raise UserError for a case with a label that is none of the model's."""
        for case in self.cases:
            for label in case.labels:
                if label not in labels:
                    told = f"the case '{case.name}' names the label '{label}', which no training row has."
                    raise UserError(f"{told} {nearest(label, labels)}")


def nearest(label: str, labels: Sequence[str]) -> str:
    """Which label was perhaps meant, or what labels there are."""
    close = difflib.get_close_matches(label, labels, n=1, cutoff=0.5)
    more = f" and {len(labels) - 20} more" if len(labels) > 20 else ""
    return f"Did you mean '{close[0]}'?" if close else f"Labels: {', '.join(sorted(labels)[:20])}{more}"


def _explain(path: Path, root: yaml.Node | None, error: ValidationError) -> str:
    """The first complaint with the line it is about, and the nearest known field for an unknown one."""
    first = error.errors(include_url=False)[0]
    place = first["loc"]
    where = f"{path}:{_line(root, place)}"
    if first["type"] == "extra_forbidden":
        known = _fields(str(place[2])) if len(place) > 3 else list(Cases.model_fields)
        close = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.4)
        return f"{where}: unknown field '{place[-1]}'. " + (
            f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}"
        )
    if first["type"] == "missing":
        return f"{where}: {place[-1]} is missing"
    if first["type"] == "model_type":
        return f"{where}: expected `cases:` and a list of cases under it"
    return f"{where}: " + first["msg"].removeprefix("Value error, ").replace("valid tuple", "valid list")


def _fields(kind: str) -> list[str]:
    kinds: list[type[Case]] = [*LabelCase.__subclasses__(), Writing]
    return next(list(one.model_fields) for one in kinds if kind in get_args(one.model_fields["kind"].annotation))


def _line(node: Any, place: Sequence[str | int]) -> int:
    """The line, from 1, of the deepest part of `place` that the file has; names of kinds in it are no part."""
    import yaml

    line = int(node.start_mark.line) + 1
    for step in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    line, node = key.start_mark.line + 1, value
    return line
