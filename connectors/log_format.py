"""How an event log lies on disk: folders, segment names, headers and frames.

::

    RUN_DIR/manifest.json
    RUN_DIR/log/<stream>/00000000.seg, 00000001.seg …

    segment = header, frame, frame …
    header  = "SFLOGSEG", u16 version, u16 length of the name, the stream's name (UTF-8),
              u32 CRC-32 of all that
    frame   = u32 length, u32 CRC-32 of the payload, payload (the codec's bytes of one record)

All integers are little-endian; CRC-32 is that of zlib.
"""

from __future__ import annotations

import re
import struct
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote
from zlib import crc32

from records import LogError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT_VERSION = 1
"""The version of the segment format."""

FRAME = struct.Struct("<II")
"""The head of a frame: length and CRC-32 of the payload."""

LOG_FOLDER = "log"
"""The folder of a run that holds one folder for each stream."""

_MAGIC = b"SFLOGSEG"
_HEADER = struct.Struct("<8sHH")
_CHECKSUM = struct.Struct("<I")
_SUFFIX = ".seg"
_SEGMENT = re.compile(r"[0-9]{8}\.seg")
_LONGEST_FOLDER_NAME = 200
_CONTINUED = "+"


class LogPosition(NamedTuple):
    """Where the next frame of a stream goes: segment number and byte offset in it."""

    segment: int
    offset: int


@contextmanager
def log_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError within into a LogError that names the path."""
    try:
        yield
    except OSError as error:
        raise LogError(
            f"{path} cannot be {action}: {error.strerror or error}; "
            "check the free space and the permissions there"
        ) from error


def stream_folder(stream: str) -> PurePosixPath:
    """Name the folder of a stream, relative to the log's folder; `stream_of` reverses it.

    Percent-encoding keeps names safe. One too long for a file name is parted into nested folders,
    all but the last of which end with ``+``, which percent-encoding never leaves.

    >>> str(stream_folder("north/gate 1"))
    'north%2Fgate%201'
    """
    name = quote(stream, safe="")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    pieces = [
        name[start : start + _LONGEST_FOLDER_NAME]
        for start in range(0, len(name), _LONGEST_FOLDER_NAME)
    ]
    return PurePosixPath(*(piece + _CONTINUED for piece in pieces[:-1]), pieces[-1])


def stream_of(folder: PurePosixPath | Path) -> str:
    """Name the stream of a folder relative to the log's folder.

    >>> stream_of(stream_folder("north/gate 1"))
    'north/gate 1'
    """
    return unquote("".join(part.removesuffix(_CONTINUED) for part in folder.parts))


def segment_name(number: int) -> str:
    """Name a segment file.

    >>> segment_name(7)
    '00000007.seg'
    """
    return f"{number:08d}{_SUFFIX}"


def segments(folder: Path) -> dict[int, Path]:
    """List the segment files of a stream's folder by number, in order; empty if there is none."""
    if not folder.is_dir():
        return {}
    with log_errors("listed", folder):
        names = [path.name for path in folder.iterdir()]
    numbers = sorted(int(name[: -len(_SUFFIX)]) for name in names if _SEGMENT.fullmatch(name))
    return {number: folder / segment_name(number) for number in numbers}


def logged_folders(log: Path) -> dict[Path, str]:
    """List the folders within a log's folder that hold segments, with the stream of each.

    The stream is empty where the folder is not the one that `stream_folder` names.
    """
    with log_errors("listed", log):
        folders = sorted({path.parent for path in log.rglob(f"*{_SUFFIX}")})
    streams = {folder: stream_of(folder.relative_to(log)) for folder in folders}
    return {
        # A name that is no UTF-8 is none that a stream can have, and cannot be quoted.
        folder: stream if stream.isprintable() and _is_folder_of(folder, stream, log) else ""
        for folder, stream in streams.items()
    }


def _is_folder_of(folder: Path, stream: str, log: Path) -> bool:
    return stream != "" and log / stream_folder(stream) == folder


def header(stream: str, version: int = FORMAT_VERSION) -> bytes:
    """Make the header of a segment."""
    name = stream.encode()
    head = _HEADER.pack(_MAGIC, version, len(name)) + name
    return head + _CHECKSUM.pack(crc32(head))


def frame(payload: bytes) -> bytes:
    """Frame the bytes of one record."""
    return FRAME.pack(len(payload), crc32(payload)) + payload


def check_header(found: bytes, stream: str) -> tuple[str, bool]:
    """Check the header of a segment of `stream`.

    Returns:
        What is wrong, empty when nothing is; and whether frames may be looked for behind it: a
        damaged header does not hide them, a format of another release does.
    """
    expected = header(stream)
    if found == expected:
        return "", True
    if len(found) < len(expected):
        return f"the file ends within its header, after {len(found)} bytes", False
    _, version, _ = _HEADER.unpack_from(found)
    if found == header(stream, version):
        return f"format version {version} is unknown; this release reads {FORMAT_VERSION}", False
    return f"the header is damaged, or not that of stream '{stream}'", True
