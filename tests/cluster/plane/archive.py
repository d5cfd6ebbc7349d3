"""Container images as files that containerd imports: the `docker save` format, uncompressed."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """This machine's, as images and Debian name it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def write(path: Path, name: str, layers: Sequence[Path], config: Mapping[str, Any]) -> None:
    """Write an image of these layers, each a tar file; `config` is its `config` object."""
    digests = [_digest(layer) for layer in layers]
    description = {
        "architecture": architecture(),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    content = json.dumps(description).encode()
    file = f"{hashlib.sha256(content).hexdigest()}.json"
    names = [f"{digest}/layer.tar" for digest in digests]
    manifest = [{"Config": file, "RepoTags": [name], "Layers": names}]
    unfinished = path.with_name(f".{path.name}.unfinished")
    with tarfile.open(unfinished, "w") as archive:
        for layer, layer_name in zip(layers, names, strict=True):
            archive.add(layer, layer_name)
        _add(archive, file, content)
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    unfinished.replace(path)


def one_file(path: Path, name: str, program: Path) -> None:
    """Write a layer that holds one program."""
    with tarfile.open(path, "w") as layer:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = program.stat().st_size, 0o755
        with program.open("rb") as content:
            layer.addfile(entry, content)


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
