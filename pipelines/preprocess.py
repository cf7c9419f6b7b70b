"""Rows of text from their source: checked, cleaned and divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.entry import main
from pipelines.session import Session
from sluice.config import Config
from sluice.registry.runs import Run
from sluice.workspace import Output


def run(session: Session) -> Output:
    """The prepared rows, and the record of their preparation."""
    cfg = session.cfg
    key = session.stage_key(
        (cfg.data,),
        ("sluice.data.prepare",),
        cfg.data.fingerprint(),
        cfg.task.name,
        cfg.task.columns,
        cfg.keep_texts,
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.data.prepare import prepare, report_lines

        record = prepare(cfg.data, cfg.task, folder, keep_texts=cfg.keep_texts)
        print("\n".join(report_lines(record)), flush=True)
        child.metrics({f"rows/{side}": count for side, count in record["rows"].items()})
        child.metrics({f"dropped/{reason}": count for reason, count in record["dropped"].items()})
        child.tags({"sluice.data": record["data"], "sluice.split": record["split"]})
        child.file(folder / "report.json")
        child.dataset(cfg.data.name, record["data"], str(folder), "source")
        return record

    return session.stage("preprocess", key, build)


def command(cfg: Config) -> None:
    """`make preprocess`."""
    with Session(cfg) as session:
        run(session)


if __name__ == "__main__":
    main(command)
