"""Rows of text from their source: checked, cleaned and divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.entry import main
from pipelines.session import Session, shorten
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
        cfg.task.columns,
        cfg.keep_texts,
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.data.prepare import prepare, report_lines
        from sluice.data.report import PAGE, REPORT

        try:
            record = prepare(cfg.data, cfg.task, folder, cfg.keep_texts, cfg.checks)
        finally:  # rows that are refused need their report most of all
            for file in (folder / REPORT, folder / PAGE):
                if file.exists():
                    child.file(file)
        print("\n".join(report_lines(record)), flush=True)
        child.metrics({f"rows/{side}": count for side, count in record["rows"].items()})
        child.metrics({f"dropped/{reason}": count for reason, count in record["dropped"].items()})
        child.metrics({f"checks/{check['name']}": check["found"] for check in record["checks"]})
        child.tags({"sluice.data": record["data"], "sluice.split": record["split"]})
        child.dataset(cfg.data.name, record["data"], str(folder), "source")
        return record

    output = session.stage("preprocess", key, build)
    if output.fresh:
        print(f"report  {shorten(output.folder / 'report.html')}", flush=True)
    return output


def command(cfg: Config) -> None:
    """`make preprocess`."""
    with Session(cfg) as session:
        run(session)


if __name__ == "__main__":
    main(command)
