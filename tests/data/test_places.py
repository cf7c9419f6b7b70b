"""Rows from several files, from globs, from an S3 server and from a web server, all real."""

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sluice.data.sources.tabular import Files
from sluice.errors import UserError

COLUMNS = {"text": "text", "label": "text"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


def csv(*texts: str) -> bytes:
    return ("text,label\n" + "".join(f"{text},x\n" for text in texts)).encode()


def rows(train: Any, **fields: Any) -> list[tuple[str, str]]:
    table = Files(name="x", train=train, **fields).read(COLUMNS).to_pydict()
    return list(zip(table["text"], table["origin"], strict=True))


def refused(train: Any, **fields: Any) -> str:
    source = Files(name="x", train=train, **fields)
    with pytest.raises(UserError) as caught:
        source.fingerprint()
    assert str(caught.value).count("\n") <= 1
    return str(caught.value)


def test_a_glob_and_a_list_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.csv").write_bytes(csv(name))
    (tmp_path / "folder.csv").mkdir()
    expected = [(name, f"{tmp_path}/{name}.csv:2") for name in "abc"]
    assert rows(f"{tmp_path}/*.csv") == expected
    assert rows((f"{tmp_path}/b.csv", f"{tmp_path}/[a-b].csv")) == [expected[1], expected[0]]


def test_a_name_with_brackets_is_no_glob(tmp_path: Path) -> None:
    (tmp_path / "rows[1].csv").write_bytes(csv("one"))
    assert rows(f"{tmp_path}/rows[1].csv") == [("one", f"{tmp_path}/rows[1].csv:2")]


def test_a_glob_below_folders_and_a_file_url(tmp_path: Path) -> None:
    (tmp_path / "2024" / "05").mkdir(parents=True)
    (tmp_path / "2024" / "05" / "a.csv").write_bytes(csv("deep"))
    assert [text for text, _ in rows(f"{tmp_path}/**/*.csv")] == ["deep"]
    assert [text for text, _ in rows(f"file://{tmp_path}/2024/05/a.csv")] == ["deep"]


def test_the_fingerprint_follows_a_file_that_joins_a_glob(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("one"))
    source = Files(name="x", train=f"{tmp_path}/*.csv")
    before = source.fingerprint()
    (tmp_path / "b.csv").write_bytes(csv("two"))
    assert source.fingerprint() != before


def test_what_matches_nothing_or_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("one"))
    assert "no file matches" in refused(f"{tmp_path}/*.tsv")
    assert "a folder" in refused(str(tmp_path))
    assert "in data.train and in data.test" in refused(f"{tmp_path}/*.csv", test=f"{tmp_path}/a.csv")
    assert "Known: s3://" in refused("nowhere://rows.csv")


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of an S3 server of our own, with the environment that points every other client to it."""
    boto3 = pytest.importorskip("boto3", reason="the extra s3 is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ |= {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_EC2_METADATA_DISABLED": "true"}
    yield boto3.client("s3")
    os.environ.clear()
    os.environ |= before
    server.stop()


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> Any:
    name = request.node.name.replace("_", "-")[:50].strip("-")
    s3.create_bucket(Bucket=name)
    return partial(s3.put_object, Bucket=name), name


@pytest.mark.slow
def test_rows_on_s3(bucket: Any) -> None:
    put, name = bucket
    put(Key="day/rows-2.csv.gz", Body=gzip.compress(csv("three")))
    put(Key="day/rows-1.csv.gz", Body=gzip.compress(csv("one", "two")))
    put(Key="other.csv", Body=csv("no"))
    source = Files(name="x", train=f"s3://{name}/day/rows-*.csv.gz")
    before = source.fingerprint()
    assert rows(source.train) == [
        ("one", f"s3://{name}/day/rows-1.csv.gz:2"),
        ("two", f"s3://{name}/day/rows-1.csv.gz:3"),
        ("three", f"s3://{name}/day/rows-2.csv.gz:2"),
    ]
    assert source.fingerprint() == before
    put(Key="day/rows-2.csv.gz", Body=gzip.compress(csv("thrice")))
    assert source.fingerprint() != before


@pytest.mark.slow
def test_what_is_not_on_s3_is_said_in_two_lines(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    put, name = bucket
    put(Key="a.csv", Body=csv("one"))
    assert "no file matches" in refused(f"s3://{name}/*.tsv")
    assert "no such bucket, folder or file" in refused(f"s3://{name}/b.csv")
    assert "a folder" in refused(f"s3://{name}")
    assert "no such bucket" in refused("s3://no-such-bucket-here/b.csv")
    assert "no such bucket" in refused("s3://no-such-bucket-here/*.csv")
    for key in CREDENTIALS:
        monkeypatch.delenv(key)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    S3FileSystem.clear_instance_cache()
    assert "AWS_ACCESS_KEY_ID" in refused(f"s3://{name}/a.csv")


def test_without_the_client_the_error_names_its_install() -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from sluice.data.sources.tabular import Files\n"
        "Files(name='x', train='s3://b/a.csv').fingerprint()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    told = done.stderr.strip().splitlines()[-2:]
    assert "the client for s3:// is not installed" in told[0]
    assert told[1] == "Install it: pip install -c constraints.txt 'sluice[s3]'"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_rows_on_the_web_are_named_without_the_signature(tmp_path: Path, web: str) -> None:
    (tmp_path / "a.csv").write_bytes(csv("one"))
    url = f"{web}/a.csv?signature=secret"
    assert rows(url) == [("one", f"{web}/a.csv:2")]
    before = Files(name="x", train=url).fingerprint()
    assert Files(name="x", train=url).fingerprint() == before
    (tmp_path / "a.csv").write_bytes(csv("another"))
    assert Files(name="x", train=url).fingerprint() != before


def test_what_is_not_on_the_web_is_said_in_two_lines(web: str) -> None:
    assert "no such" in refused(f"{web}/none.csv")
    assert "cannot be read" in refused("http://127.0.0.1:9/a.csv")
