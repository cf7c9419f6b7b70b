"""Commands as real processes without seconds of imports each: this process imports, then forks one child a command.

As a script it reads JSON lines `{"stage": ..., "arguments": [...], "cwd": ..., "environment": {...}}` and answers with
`code` and `output`.
"""

import json
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import bentoml  # noqa: F401
import datasets  # noqa: F401
import mlflow.pyfunc  # noqa: F401
import sklearn.linear_model  # noqa: F401
import torch  # noqa: F401
import transformers.models.modernbert.modeling_modernbert  # noqa: F401

import sluice.evaluation.comparison
import sluice.metrics.classification
import sluice.training.sampler  # noqa: F401


def in_fork(work: Callable[[], int | None], output: Path) -> int:
    """Run `work` in a child whose output goes to a file; returns its process id."""
    child = os.fork()
    if child:
        return child
    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = 1
    try:
        code = work() or 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def command(stage: str, arguments: list[str], cwd: str = ".", environment: dict[str, str] | None = None) -> None:
    """What `python -m pipelines.<stage> <arguments>` does; ends in SystemExit."""
    os.chdir(cwd)
    os.environ.update(environment or {})
    sys.argv = [f"pipelines/{stage}.py", *arguments]
    runpy.run_module(f"pipelines.{stage}", run_name="__main__", alter_sys=True)


def serve() -> None:
    """Answer requests until the input ends."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        for line in sys.stdin:
            request = json.loads(line)
            child = in_fork(lambda asked=request: command(**asked), output)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(json.dumps({"code": code, "output": output.read_text(errors="replace")}), flush=True)


if __name__ == "__main__":
    serve()
