"""The way into every command: Hydra composes, `sluice.config` types, errors come out as one or two lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.shared import sweep
from pipelines.shared.typed import ready
from pipelines.shared.wording import CONF, explain

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from sluice.config import Config

REFUSED = 1
"""Exit code of a command that worked and said no."""
MISTAKE = 2
"""Exit code of an error that is the user's to mend."""
BROKEN_PIPE = 141
"""What a shell gives a command whose reader went away: 128 + SIGPIPE."""


def main(run: Callable[[Config], int | None], *, record: bool = True) -> None:
    """Compose the configuration from the command line, call `run` with it and exit with what it returns.

    Without `record` Hydra leaves no folder behind: the command works on a full disk, too.
    """
    sys.argv[1:] = ready(sys.argv[1:])
    if not record:
        sys.argv += ["hydra.run.dir=.", "hydra.output_subdir=null"]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through: we word them ourselves
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    codes: list[int] = []
    errors: list[Exception] = []
    this = sweep.prepare(sys.argv)
    import hydra

    @hydra.main(version_base="1.3", config_path=CONF, config_name="config")
    def app(composed: DictConfig) -> None:
        from sluice.config import load

        with sweep.at_work(composed) as job:
            if job:  # perhaps in another process: what it returns would not come back
                code = run(load(composed)) or 0
                job.tell("done" if code == 0 else "refused", code)
                return
            try:
                codes.append(run(load(composed)) or 0)
            except Exception as error:  # Hydra would print a line of its own before passing it on
                errors.append(error)

    stopped = False
    try:
        app()
    except Exception as error:
        errors.append(error)
    except KeyboardInterrupt:
        stopped = True
    try:
        codes.append(_conclude(this, whole=not (stopped or errors)))
    except Exception as error:
        errors.append(error)
    if stopped:
        sys.exit("\nstopped; the same command goes on from here")
    for mistake in errors:
        _report(mistake)
    sys.exit(MISTAKE if errors else max(codes, default=0))


def _conclude(this: sweep.Sweep, whole: bool) -> int:
    """The end of a sweep; of a command that was none there is nothing to tell."""
    jobs = sweep.outcomes(this)
    if not jobs:
        return 0
    from pipelines.shared.results import conclude

    return conclude(jobs, whole)


def _report(error: Exception) -> None:
    """Print what the user can mend; a defect of ours keeps its traceback."""
    if isinstance(error, BrokenPipeError):  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    text = explain(error)
    if text is None:
        raise error
    sys.stderr.write(f"error: {text}\n")
