"""LitServe around the engine: as many workers as cores, batches or none by the settings."""

from __future__ import annotations

import sys

import litserve

from tests.bench.serving.peers import settings
from tests.bench.serving.peers.engine import Answer, Engine


class Labels(litserve.LitAPI):
    """What batches and single texts have in common."""

    def setup(self, device: str) -> None:
        """Load the model in a worker."""
        self.engine = Engine(settings.bundle())

    # LitServe takes annotations of the two below for FastAPI's; without any, it reads JSON and writes it.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        """The text of a request."""
        return request["input"]

    def encode_response(self, answer):  # type: ignore[no-untyped-def]
        """The answer is JSON already."""
        return answer


class Single(Labels):
    """One text at a time."""

    def predict(self, text: str) -> Answer:
        """The label of a text."""
        return self.engine([text])[0]


class Batched(Labels):
    """The texts that came within the time-out, together."""

    def batch(self, texts: list[str]) -> list[str]:
        """The engine takes lists."""
        return texts

    def predict(self, texts: list[str]) -> list[Answer]:
        """The label of each text."""
        return self.engine(texts)

    def unbatch(self, answers: list[Answer]) -> list[Answer]:
        """The engine gives lists."""
        return answers


def api() -> litserve.LitAPI:
    """As the settings have it."""
    size, milliseconds = settings.number(settings.BATCH), settings.number(settings.TIMEOUT)
    return Batched(max_batch_size=size, batch_timeout=milliseconds / 1000) if size > 1 else Single()


if __name__ == "__main__":
    server = litserve.LitServer(api(), accelerator="cpu", workers_per_device=settings.number(settings.WORKERS))
    port, fronts = map(int, sys.argv[1:])
    server.run(host="127.0.0.1", port=port, num_api_servers=fronts, generate_client_file=False, log_level="warning")
