"""A file of rows with the champion's predictions: larger than memory, and not begun anew after a kill."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.shared.entry import main
from pipelines.shared.session import LIBRARIES, shorten
from sluice.batch.readers.formats import open_reader
from sluice.batch.readers.reader import Reader
from sluice.batch.writer import output_format
from sluice.config import Config
from sluice.errors import UserError
from sluice.files import file_digest, write_json
from sluice.inference.bundle import Bundle
from sluice.part import digest
from sluice.registry.runs import Run, open_run
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, Version, intact, lookup
from sluice.workspace import Output, Workspace, stage_key


@dataclass(frozen=True)
class Job:
    """What is asked for: these rows, this model, this output."""

    cfg: Config
    store: Store
    reader: Reader
    output: Path
    version: Version
    bundle: Path
    stamp: tuple[int, int]
    """Size and time of change of the input, taken before the first pass over it."""

    @cached_property
    def input(self) -> str:
        """SHA-256 of the input."""
        return file_digest(self.reader.path)

    @cached_property
    def key(self) -> str:
        """The same for the same rows, model and settings."""
        parts = (self.cfg.predict.deciding, self.cfg.serve.engine)
        sources = ("sluice.batch.job", "sluice.inference.predictor", type(self.cfg.serve.engine).__module__)
        values = (self.input, self.reader.path.suffixes, self.version.digest)
        return stage_key(*parts, *values, sources=sources, libraries=LIBRARIES)

    @cached_property
    def names(self) -> dict[str, str]:
        """Result column to output column."""
        from sluice.inference.columns import result_columns

        bundle = Bundle.read(self.bundle)
        columns = result_columns(bundle.resolve_task().Result, bundle.labels, self.cfg.predict.scores)
        return {column.name: f"{self.cfg.predict.prefix}{column.name}" for column in columns}

    @property
    def note(self) -> Path:
        """Where it is noted which work the output file holds."""
        return self.cfg.root.absolute() / "work" / "predict" / "outputs" / f"{digest(str(self.output))[:16]}.json"


def command(cfg: Config) -> None:
    """`make predict`."""
    job = _job(cfg)
    if _stands(job):
        print(f"unchanged: {shorten(job.output)} holds these predictions of {job.version}")
        return
    start = time.perf_counter()
    print(f"{job.version} on {shorten(job.reader.path)}", flush=True)
    title, tags = f"predict-v{job.version.number}-{job.key[:6]}", {"sluice.type": "predict"}
    with open_run(job.store, cfg.name, title, digest([job.key, str(job.output)]), tags=tags) as run:
        parts = _predict(job)
        summary = _merge(job, parts)
        seconds = time.perf_counter() - start
        _record(job, run, parts, summary.rows, summary.empty, seconds)
    kept = f", {parts.record['kept']} of {parts.record['parts']} parts taken over" if parts.record["kept"] else ""
    print("\n".join(summary.lines()))
    print(f"done in {seconds:.1f} s, {summary.rows / seconds:,.0f} rows/s{kept}: {shorten(job.output)}")


def _job(cfg: Config) -> Job:
    """Everything that can be wrong is found before the first row is predicted."""
    if cfg.input is None or cfg.output is None:
        raise UserError('which rows, and where to? make predict ARGS="input=rows.csv output=out.parquet"')
    reader, output = open_reader(cfg.input.expanduser(), cfg.predict), cfg.output.expanduser().absolute()
    output_format(output)
    if output == reader.path.absolute():
        raise UserError(f"input and output are the same file, {output}: name another output=")
    stamp = _stamp(reader.path)
    store = Store(cfg.root, cfg.tracking_uri)
    version = lookup(store, cfg.name, cfg.version or CHAMPION)
    if version is None:
        wanted = f"version {cfg.version}" if cfg.version else "champion yet"
        raise UserError(
            f"{cfg.name} has no {wanted}: run make train and make promote, or name one with name=, version="
        )
    return Job(cfg, store, reader, output, version, intact(store, version), stamp)


def _stands(job: Job) -> bool:
    """Whether the output is there already, as these settings make it. Anything else there is left alone."""
    from sluice.batch.job import refuse_collision

    refuse_collision(job.reader, job.reader.names, list(job.names.values()))
    if not job.output.exists():
        return False
    told: dict[str, Any] = json.loads(job.note.read_text()) if job.note.exists() else {}
    same = bool(told) and told["digest"] == file_digest(job.output)
    if same and told["work"] == _work(job):
        return True
    if not job.cfg.predict.overwrite:
        raise UserError(
            f"output={job.output} exists and holds something else. Name another, or replace it: predict.overwrite=true"
        )
    return False


def _work(job: Job) -> str:
    return digest([job.key, job.names, job.output.suffix])


def _predict(job: Job) -> Output:
    """The predictions of all blocks, in the workspace."""

    def build(folder: Path) -> dict[str, Any]:
        from sluice.batch.job import predict_parts
        from sluice.inference.predictor import Predictor

        return predict_parts(job.reader, Predictor(job.bundle, job.cfg.serve.engine), folder)

    return Workspace(job.cfg.root / "work").run("predict", job.key, build)


def _merge(job: Job, parts: Output) -> Any:
    """The output: written beside, noted, renamed."""
    from sluice.batch.job import merge

    beside = job.output.with_name(f".{job.output.name}.{_work(job)[:8]}")
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        summary = merge(job.reader, parts.folder, beside, output_format(job.output), job.names)
        if _stamp(job.reader.path) != job.stamp:
            raise UserError(f"{job.reader.path} was changed while it was read: run again")
        write_json(job.note, {"work": _work(job), "digest": file_digest(beside), "output": str(job.output)})
        beside.replace(job.output)
    except OSError as error:
        raise UserError(f"output={job.output} cannot be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
    return summary


def _record(job: Job, run: Run, parts: Output, rows: int, empty: int, seconds: float) -> None:
    run.params({"version": job.version, "input": job.reader.path.name, "output": job.output.name})
    run.tags({"sluice.version": str(job.version), "sluice.bundle": job.version.digest, "sluice.input": job.input})
    run.dataset(job.reader.path.name, job.input, str(job.reader.path.absolute()), "predict")
    rate = parts.record["predicted_per_second"]
    run.metrics({"rows": rows, "empty": empty, "seconds": seconds, "predicted_per_second": rate})


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


if __name__ == "__main__":
    main(command)
