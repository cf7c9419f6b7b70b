"""Files on this machine and elsewhere: paths, globs, and what fsspec opens (s3://, https://, gs://, ...)."""

from __future__ import annotations

import glob
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sluice.errors import UserError
from sluice.files import file_digest

EXTRAS = {"s3": "s3"}
"""Protocols whose client comes with an extra of this project."""
CLIENTS = {"gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs", "hf": "huggingface_hub"}
STAMPS = ("ETag", "etag", "Content-MD5", "md5Hash", "content_md5")
"""What stores call a mark that changes with the content."""
TIMES = ("LastModified", "Last-Modified", "mtime", "updated")


@dataclass(frozen=True)
class Place:
    """One file."""

    name: str
    """As errors and origins show it: an address without its query, which may hold a signature."""
    path: str
    system: Any = None
    """The fsspec file system it lies on; None on this machine."""

    def source(self) -> Any:
        """What a reader of single columns opens: the path where it is one, else the content."""
        return self.path if self.system is None else io.BytesIO(self.read())

    def read(self) -> bytes:
        """Its bytes."""
        if self.system is None:
            return Path(self.path).read_bytes()
        with _explained(self.name):
            content: bytes = self.system.cat_file(self.path)
        return content

    def mark(self) -> str:
        """What changes when its content does: here SHA-256, elsewhere the store's etag or time with the size.

        A store that gives neither is read through.
        """
        if self.system is None:
            return file_digest(Path(self.path))
        with _explained(self.name):
            info = self.system.info(self.path)
        for field in (*STAMPS, *TIMES):
            if info.get(field):
                return f"{field.lower()} {str(info[field]).strip(chr(34))} size {info.get('size')}"
        return hashlib.sha256(self.read()).hexdigest()


def expand(pattern: str, setting: str) -> list[Place]:
    """The files that a path, glob or URL stands for, sorted by name. Raises UserError where there is none."""
    protocol, _, rest = pattern.partition("://")
    if rest and protocol != "file":
        return _remote(pattern, protocol, setting)
    return _local(rest or pattern, setting)


def _local(pattern: str, setting: str) -> list[Place]:
    path = Path(pattern).expanduser()
    if path.is_file():  # before anything is taken for a glob: names may hold brackets
        return [Place(str(path), str(path))]
    where = "" if path.is_absolute() else f", looked for from {Path.cwd()}"
    if path.is_dir():
        raise UserError(f"{path}: a folder. Name its files: {setting}='{path}/*.csv'")
    if not glob.has_magic(str(path)):
        raise UserError(f"{path}: no such file{where}. Name yours: {setting}=path/to/rows.csv")
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207  (a Path globs below a folder only)
    found = sorted(name for name in names if Path(name).is_file())
    if not found:
        raise UserError(f"{setting}={path}: no file matches{where}. In a shell, quote the pattern: {setting}='...'")
    return [Place(name, name) for name in found]


def _remote(url: str, protocol: str, setting: str) -> list[Place]:
    system, path = _open(url, protocol, setting)
    web = protocol in ("http", "https")
    # A web address has a query, and no bucket to list.
    magic = "*" in urlsplit(url).path if web else glob.has_magic(path)
    with _explained(_shown(url)):
        system.invalidate_cache()
        if not magic:
            if system.info(path)["type"] != "file":
                raise UserError(f"{_shown(url)}: a folder. Name its files: {setting}='{_shown(url)}/*.csv'")
            return [Place(_shown(url), path, system)]
        found = sorted(name for name, info in system.glob(path, detail=True).items() if info["type"] == "file")
        if not found and not web:
            system.ls(path.split("/")[0])  # raises where there is not even a bucket
    if not found:
        raise UserError(f"{setting}={_shown(url)}: no file matches. See what is there, or correct the pattern")
    return [Place(_shown(name if web else system.unstrip_protocol(name)), name, system) for name in found]


def _open(url: str, protocol: str, setting: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        package = f"'sluice[{EXTRAS[protocol]}]'" if protocol in EXTRAS else CLIENTS.get(protocol, "the client")
        raise UserError(
            f"{_shown(url)}: the client for {protocol}:// is not installed ({error}).\n"
            f"Install it: pip install -c constraints.txt {package}"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{setting}={_shown(url)}: {error}. Known: s3://, https://, gs://, abfs:// and local paths"
        ) from error
    return system, path


def _shown(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Errors of whatever library opens the address, in the user's words."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # every client has its own: botocore's, aiohttp's, the system's
        absent = isinstance(error, FileNotFoundError)
        cause = error.__cause__ if absent and error.__cause__ else error
        reason = f"{type(cause).__name__}: {next(iter(str(cause).splitlines()), '')[:200]}"
        if isinstance(cause, PermissionError) or "Credentials" in reason:
            raise UserError(
                f"{name}: access is refused ({reason}).\n"
                "Give credentials that may read it; for s3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from error
        if absent and (cause is error or not isinstance(cause, OSError)):
            raise UserError(f"{name}: no such bucket, folder or file ({reason})") from error
        raise UserError(
            f"{name}: cannot be read ({reason}).\n"
            "Check the address and the network; for an S3 server of your own set AWS_ENDPOINT_URL"
        ) from error
