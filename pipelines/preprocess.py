"""Rows of text from their source: checked, cleaned and divided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.shared.entry import main
from pipelines.shared.session import Session, shorten
from sluice.config import Config
from sluice.registry.runs import Run
from sluice.workspace import Output


def run(session: Session) -> Output:
    """The prepared rows, and the record of their preparation."""
    cfg = session.cfg
    key = session.stage_key(
        (cfg.data, cfg.checks),
        ("sluice.data.prepare",),
        cfg.data.fingerprint(),
        cfg.task.name,
        dict(cfg.task.columns),
        cfg.keep_texts,
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.data.prepare import prepare, report_lines

        try:
            record = prepare(cfg.data, cfg.task, folder, cfg.keep_texts, cfg.checks)
        finally:  # rows that are refused need their report most of all
            _log_report(child, folder)
        print("\n".join(report_lines(record)), flush=True)
        child.tags({"sluice.data": record["data"], "sluice.split": record["split"]})
        child.dataset(cfg.data.name, record["data"], str(folder), "source")
        return record

    output = session.stage("preprocess", key, build)
    if output.fresh:
        from sluice.data.inspection.report import PAGE

        print(f"report  {shorten(output.folder / PAGE)}", flush=True)
    return output


def _log_report(child: Run, folder: Path) -> None:
    from sluice.data.inspection.report import PAGE, REPORT

    if not (folder / REPORT).exists():
        return
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    child.metrics({f"rows/{side}": count for side, count in report["rows"].items()})
    child.metrics({f"dropped/{reason}": count for reason, count in report["dropped"].items()})
    child.metrics({f"checks/{check['name']}": check["found"] for check in report["checks"]})
    child.file(folder / REPORT)
    child.file(folder / PAGE)


def command(cfg: Config) -> None:
    """`make preprocess`."""
    with Session(cfg) as session:
        run(session)


if __name__ == "__main__":
    main(command)
