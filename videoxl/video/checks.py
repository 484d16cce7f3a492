"""Checks that need no decoder: does the path name a file, and do its first bytes show that it is not a video?"""

import os
import re
import stat

from ..errors import VideoError
from ..files import local_path

GET_ANOTHER_COPY = "Copy or download the file again, or try another one."
GIVE_A_VIDEO = "Give the path of a video file, such as .mp4, .mkv, .webm, .mov, .avi or .ts."

_PLAYLISTS = {
    b"#EXTM3U": "an HLS playlist",
    b"ffconcat": "an FFmpeg concat script",
    b"[playlist]": "a playlist",
    b"<?xml": "an XML document",
}
_PICTURES = {b"\x89PNG\r\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\x00": "TIFF", b"MM\x00*": "TIFF"}
_FRAMES_AFTER_TEXT = b"YUV4MPEG2 "  # a line, and pictures that may be beyond the bytes that are checked
_PICTURE_BRANDS = {b"avif": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}


def check_file(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a local file that may be a video, also from a file URL.

    Raises:
        VideoError: a network address; nothing there; not a regular file; empty; not readable; or its first bytes are
            those of a still picture, a playlist (which would make FFmpeg open other files) or a text.
    """
    name = local_path(path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        raise VideoError(f"{name}: network addresses are not read", "Download the video and give the local file.")
    try:
        status = os.stat(name)
        _check_kind(name, status)
        with open(name, "rb") as file:
            head = file.read(1024)
    except FileNotFoundError as error:
        raise VideoError(f"{name}: no such file", "Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"{name}: cannot be read ({reason})", "Check the path and its permissions.") from error
    _check_head(name, head)
    return os.path.abspath(name)


def _check_kind(name: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{name}: is a directory, not a video file", "Give one of the files in it.")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{name}: is not a regular file", GIVE_A_VIDEO)
    if status.st_size == 0:
        raise VideoError(f"{name}: the file is empty (0 bytes)", GET_ANOTHER_COPY)


def _check_head(name: str, head: bytes) -> None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, what in _PLAYLISTS.items():
        if start.startswith(magic):
            raise VideoError(
                f"{name}: is {what}, not a video; it would make the decoder open other files",
                "Give the video file itself.",
            )
    picture = next((what for magic, what in _PICTURES.items() if head.startswith(magic)), None)
    if head[4:8] == b"ftyp":
        picture = _PICTURE_BRANDS.get(head[8:12])
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        picture = "WebP"
    if picture:
        raise VideoError(f"{name}: is a still picture ({picture}), not a video", GIVE_A_VIDEO)
    if _is_text(head) and not head.startswith(_FRAMES_AFTER_TEXT):
        raise VideoError(f"{name}: is a text file, not a video", GIVE_A_VIDEO)


def _is_text(head: bytes) -> bool:
    # The last three bytes may be a character cut in two.
    for end in range(len(head), max(len(head) - 4, 0), -1):
        try:
            text = head[:end].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return all(character.isprintable() or character.isspace() for character in text)
    return False


# Offset and bytes that files with moving pictures begin with; `container.py` has the formats that are read.
_VIDEO_STARTS = (
    *((4, kind) for kind in (b"ftyp", b"moov", b"mdat", b"wide")),
    *((0, magic) for magic in (b"\x1aE\xdf\xa3", b"FLV\x01", b"GIF8", b"0&\xb2u\x8ef\xcf\x11")),
    *((0, magic) for magic in (b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")),
    (8, b"AVI "),
)
_TS_PACKET_BYTES = 188


def looks_like_video(path: str | os.PathLike[str]) -> bool:
    """Return whether a file's first bytes are those of a format for moving pictures, whatever its name is.

    A file that cannot be read does not. One that does may still turn out to have sound only.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading from a pipe would wait
            return False
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError:
        return False
    if head[4:8] == b"ftyp":
        return head[8:12] not in (*_PICTURE_BRANDS, b"M4A ", b"M4B ")
    if head.startswith(b"OggS"):
        return b"theora" in head
    is_ts = len(head) > 2 * _TS_PACKET_BYTES and head[0] == head[_TS_PACKET_BYTES] == head[2 * _TS_PACKET_BYTES] == 0x47
    return is_ts or any(head[offset : offset + len(magic)] == magic for offset, magic in _VIDEO_STARTS)
