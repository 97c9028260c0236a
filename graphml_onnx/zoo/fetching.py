"""Downloads models from file systems of fsspec, with the files that they need beside them."""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING

from graphml_onnx.errors import InputError, UsageError, storage_failure
from graphml_onnx.graph.loading import is_xml
from graphml_onnx.places.place import CONNECTION, RESUME, file_system, patiently
from graphml_onnx.tabular.identity import external_locations

if TYPE_CHECKING:
    from pathlib import Path

    import fsspec

_CREDENTIALS = re.compile(r"[\w+.:-]+://[^/@]*:[^/@]*@")
_SIDECAR = ".onnxdata"
_GONE = (404, 410)  # a web server's answers for a missing file


def check_no_credentials(url: str) -> None:
    """Raises UsageError if a URL contains a password."""
    if _CREDENTIALS.match(url):
        raise UsageError(
            "a URL with credentials would end up in logs and manifests",
            remedy="leave them out; fsspec takes them from its configuration or the environment",
        )


def fetch_model(url: str, folder: Path) -> Path:
    """Downloads a model to a folder: ONNX with its data files, GraphML with its sidecar.

    Args:
        url: of the file: ``s3://bucket/model.onnx``, ``hf://owner/repository/model.onnx``.
        folder: where it goes.

    Returns:
        The file here.

    Raises:
        UsageError: the file system is unknown, or its package is not installed; the URL has credentials.
        InputError: there is no such file.
        StorageError: the file system does not answer, or there is no space here.
        ExternalDataError: a data file of the model is outside its folder.
    """
    check_no_credentials(url)
    model = folder / posixpath.basename(url.rstrip("/"))
    fs, remote = file_system(url)
    if not patiently(lambda: _is_file(fs, remote), url, CONNECTION):
        raise InputError("no such file", file=url, remedy="check the URL")
    download(url, model, CONNECTION)
    base = url.rpartition("/")[0]
    if is_xml(model):
        sidecar = f"{base}/{model.stem}{_SIDECAR}"
        if patiently(lambda: _is_file(fs, file_system(sidecar)[1]), sidecar, CONNECTION):
            download(sidecar, folder / f"{model.stem}{_SIDECAR}", CONNECTION)
        return model
    for location in external_locations(model):
        download(f"{base}/{location}", folder / location, CONNECTION)
    return model


def _is_file(fs: fsspec.AbstractFileSystem, remote: str) -> bool:
    """Whether there is such a file; `isfile` of fsspec treats any failure as a missing file."""
    try:
        return bool(fs.info(remote)["type"] == "file")
    except FileNotFoundError as error:
        reason = error.__cause__
        is_missing = reason is None or isinstance(reason, FileNotFoundError) or getattr(reason, "status", 0) in _GONE
        if not is_missing:
            raise ConnectionError(" ".join(str(reason).split()) or type(reason).__name__) from error
        return False


def download(url: str, path: Path, remedy: str = RESUME) -> None:
    """Downloads a file.

    Args:
        url: of the file.
        path: where it goes.
        remedy: what the user can do if the network fails for good.

    Raises:
        GraphmlOnnxError: it cannot be read there, or not be written here.
    """
    fs, remote = file_system(url)

    def get() -> None:
        try:
            size = fs.info(remote).get("size")
            path.parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(remote, os.fspath(path))
        except OSError as error:
            raise storage_failure(error, path) or error from error
        if size is not None and path.stat().st_size != size:
            raise OSError(f"{path.stat().st_size} of {size} bytes arrived")

    patiently(get, url, remedy)
