"""Whether the chosen image can be used on this machine, asked before the first job: one clear line where it cannot."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from relatent.specs.engine import Container, Engine
from relatent.specs.errors import RelatentError
from relatent.specs.images import SIF, VARIANTS, image_digest, lock_digests

CDI = ("etc/cdi", "var/run/cdi")  # where podman reads how to give a GPU to a container

# Run by the image's own Python: what the image says of itself. Only with --nv is PyTorch asked, which takes seconds.
ASK = """
import hashlib, json, pathlib, sys
locks = sorted(pathlib.Path("/opt/relatent").glob("*.lock"))
stated = pathlib.Path("/etc/relatent-image")
answer = {"locks": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in locks}}
answer["image"] = stated.read_text().strip() if stated.is_file() else None
if sys.argv[1:] == ["gpu"]:
    import torch
    answer["cuda"] = torch.version.cuda
    answer["devices"] = ["sm_%d%d" % torch.cuda.get_device_capability(n) for n in range(torch.cuda.device_count())]
    answer["built_for"] = torch.cuda.get_arch_list()
print(json.dumps(answer))
"""


def check_store(prefix: Path | None) -> None:
    """Raises RelatentError where Snakemake could not keep images that it fetches; `prefix` is its --apptainer-prefix.

    To be asked before Snakemake makes the folder, which fails with a traceback.
    """
    check_writable(Path(prefix or ".snakemake/singularity"), "give another by --apptainer-prefix")


def check_container(root: Path, container: Container, store: Path, arguments: str) -> None:
    """Fetch the image and look into it. `store` is where Snakemake keeps images that it fetches, `arguments` what it
    passes to the engine; --nv among them says that a GPU is wanted.

    Raises RelatentError at the first thing that would go wrong.
    """
    engine, image, gpu = container.engine, container.image, "--nv" in arguments.split()
    if gpu:
        check_gpu(engine, Path("/"))
    file = fetched(engine, image, store) if image.startswith("docker://") else present(engine, image)
    command = [engine.command, "--quiet", "exec", "--cleanenv", *(["--nv"] if gpu else []), str(file)]
    said = answer(image, run([*command, "python", "-c", ASK, *(["gpu"] if gpu else [])]))
    check_id(image, said["image"])
    check_locks(root, image, said["locks"])
    if gpu:
        check_torch(image, said)


def present(engine: Engine, image: str) -> Path:
    """An image that is a file, named from the current folder, as Snakemake does."""
    path = Path(image)
    if engine.shim:
        raise RelatentError(f"{image} is for Apptainer; {engine.runs} wants container=docker://sha256:ID")
    if not path.is_file():
        raise RelatentError(f"{image}: no such file; make image makes it, or copy it here")
    return path


def fetched(engine: Engine, image: str, store: Path) -> Path:
    """An image in a registry, or in the store of podman or docker, as the file that Snakemake will look for."""
    if not engine.shim and image.startswith("docker://sha256:"):
        raise RelatentError(f"{image}: {engine.runs} has no store to find this id in, give a .sif file; make image")
    file = store.absolute() / f"{hashlib.md5(image.encode(), usedforsecurity=False).hexdigest()}.simg"
    if not engine.shim:
        name = f"{engine.runs.upper()}_CACHEDIR"
        cache = os.environ.get(name) or Path.home() / f".{engine.runs}" / "cache"
        check_writable(Path(cache), f"give another by {name}")
    if not file.exists():
        done = run([engine.command, "pull", "--name", str(file), image])
        if done.returncode:
            reason = last_words(done).rsplit(": ", 1)[-1]  # before it, the whole way there
            raise RelatentError(f"{image}: cannot be fetched: {reason}")
    return file


def check_writable(folder: Path, advice: str) -> None:
    """Raises RelatentError where no file can be made in a folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RelatentError(f"{folder}: images cannot be kept there: {error.strerror}; {advice}") from None


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the engine. An image can be large and its registry slow, so there is no limit of time."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that a command printed, without colours and its own marks."""
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", lines[-1]) if lines else f"exit status {done.returncode}"
    return re.sub(r"^(FATAL|ERROR|error|Error):\s*", "", plain).strip()


def answer(image: str, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the image said of itself."""
    if done.returncode:
        refuse(image, done)
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        refuse(image, done)


def refuse(image: str, done: subprocess.CompletedProcess[str]) -> NoReturn:
    """Raises RelatentError with the reason why nothing runs in the image."""
    if re.search(r"exec format error|architecture", done.stderr, re.IGNORECASE):
        raise RelatentError(f"{image}: for another processor than this {os.uname().machine}; build it here: make image")
    raise RelatentError(f"{image}: nothing runs in it: {last_words(done)}")


def check_id(image: str, stated: str | None) -> None:
    """Raises RelatentError where a file is not the image that its name says. Who fetched an image by its digest has
    checked that."""
    if SIF.fullmatch(image) and not (stated or "").startswith(f"sha256:{image_digest(image)}"):
        raise RelatentError(f"{image}: holds image {stated or 'unknown'}, not the one in its name; make image")


def check_locks(root: Path, image: str, carried: dict[str, str]) -> None:
    """Raises RelatentError where an image was not built from the locks in containers/."""
    if not carried:
        raise RelatentError(f"{image}: carries no lock in /opt/relatent, so its packages are unknown; make image")
    for variant in VARIANTS:
        if f"torch-{variant}.lock" in carried:
            wanted = lock_digests(root, variant)
            moved = [name for name, digest in wanted.items() if carried.get(name) != digest]
            if moved:
                raise RelatentError(
                    f"{image}: built from another {moved[0]} than containers/{moved[0]}; make image-pin"
                )
            return
    raise RelatentError(f"{image}: carries no lock of PyTorch in /opt/relatent; make image")


def check_gpu(engine: Engine, top: Path) -> None:
    """Raises RelatentError where this machine cannot give a GPU to a container; `top` is / but in tests."""
    asked = "--nv asks for a GPU, but"
    if not any((top / "proc/driver/nvidia/gpus").glob("*")):
        raise RelatentError(f"{asked} this machine has none, or no NVIDIA driver; use --profile profiles/container")
    libraries = subprocess.run(
        [shutil.which("ldconfig") or "/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False
    )
    if "libcuda.so.1" not in libraries.stdout:
        raise RelatentError(f"{asked} the driver's library libcuda.so.1 is not installed, only its kernel module")
    if engine.runs == "podman" and not any(any((top / folder).glob("*.[jy]*")) for folder in CDI):
        raise RelatentError(f"{asked} podman cannot give it: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml")


def check_torch(image: str, said: dict[str, Any]) -> None:
    """Raises RelatentError where the image's PyTorch cannot compute on every GPU that it is shown."""
    asked = f"{image}: --nv asks for a GPU, but"
    if said["cuda"] is None:
        raise RelatentError(f"{asked} its PyTorch is for the CPU; use --profile profiles/container-gpu")
    if not said["devices"]:
        raise RelatentError(f"{asked} its PyTorch finds none; is the driver recent enough for CUDA {said['cuda']}?")
    for device in said["devices"]:
        if not any(runs_on(built, device) for built in said["built_for"]):
            built_for = " ".join(said["built_for"])
            raise RelatentError(f"{image}: its PyTorch is built for {built_for}, this machine's GPU is {device}")


def runs_on(built: str, device: str) -> bool:
    """Whether code built for one architecture, such as sm_80, runs on a device such as sm_86: on the same major number,
    from the minor one on. compute_90 stands for code that later devices translate."""
    kind, built_major, built_minor = parts(built)
    _, major, minor = parts(device)
    if kind == "compute":
        return (built_major, built_minor) <= (major, minor)
    return built_major == major and built_minor <= minor


def parts(architecture: str) -> tuple[str, int, int]:
    """sm_90 or sm_90a is (sm, 9, 0), sm_120 is (sm, 12, 0)."""
    kind, _, number = architecture.partition("_")
    digits = number.rstrip("abcdefghijklmnopqrstuvwxyz")
    return kind, int(digits[:-1]), int(digits[-1])
