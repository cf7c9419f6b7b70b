"""A hub of one data set: answers the part of the Hugging Face hub's API that downloading needs, from a folder."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import datasets

NAME = "team/reviews"
COMMIT = "1f" * 20
RESOLVE = f"/datasets/{NAME}/resolve/{COMMIT}/"
API = f"/api/datasets/{NAME}"


def write_repository(folder: Path) -> None:
    """Two splits in Parquet, labels as numbers with names, a further column, and a README."""
    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "mood": datasets.ClassLabel(names=["bad", "good"]),
            "shop": datasets.Value("int64"),
        }
    )
    sizes = {"train": 60, "test": 20}
    for split, size in sizes.items():
        columns = {
            "sentence": [f"{split} review {row * 7919} of the {('pump', 'valve')[row % 2]}" for row in range(size)],
            "mood": [-1 if row == 5 else row % 2 for row in range(size)],
            "shop": [row % 3 for row in range(size)],
        }
        path = folder / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(columns, features).to_parquet(str(path))
    (folder / "README.md").write_text("# Reviews of pumps and valves\n")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address of the running hub."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    described = [
        {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        for name, content in sorted(files.items())
    ]

    def children(folder: str) -> list[dict[str, object]]:
        """Files and folders directly in a folder."""
        inside = [item for item in described if str(Path(str(item["path"])).parent) == (folder or ".")]
        folders = {str(Path(name).parent) for name in files if "/" in name} if not folder else set()
        return [*inside, *({"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in folders)]

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if path in (API, f"{API}/revision/main", f"{API}/revision/{COMMIT}"):
                siblings = [{"rfilename": name} for name in files]
                self.json({"id": NAME, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
            elif path.startswith((f"{API}/tree/main", f"{API}/tree/{COMMIT}")):
                below = path.removeprefix(f"{API}/tree/").partition("/")[2]
                found = children(below)
                self.json(found) if found else self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
            elif path.startswith(RESOLVE) and path.removeprefix(RESOLVE) in files:
                content = files[path.removeprefix(RESOLVE)]
                etag = hashlib.sha1(content).hexdigest()
                self.send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"})
            else:
                missing = "EntryNotFound" if NAME in path else "RepoNotFound"
                self.send(404, b"", {"X-Error-Code": missing, "X-Repo-Commit": COMMIT})

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            if not urlsplit(self.path).path.startswith(f"{API}/paths-info/"):
                return self.send(404, b"", {})
            wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
            return self.json([item for item in described if item["path"] in wanted])

        def json(self, value: object) -> None:
            self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
