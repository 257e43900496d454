"""A run in podman hears that it is to stop, although the first process of a container ignores signals by default."""

import json
import os
import subprocess
import time
from pathlib import Path

from tests.training.specs import sac_spec

from .conftest import ROOT


def test_sigterm_reaches_the_run(clone: Path, image: str) -> None:
    train = f"python -m relatent train --spec '{json.dumps(sac_spec(frames=1_000_000))}' --run run > log 2>&1"
    shell = f"set -euo pipefail; export PYTHONPATH={clone / 'src'}; {train}"
    shim = ROOT / "containers/shim/apptainer"
    command = [str(shim), "exec", "--cleanenv", "--home", str(clone), f"docker://{image}", "bash", "-c", shell]
    variables = os.environ | {"CONTAINER_ENGINE": "podman"}
    with subprocess.Popen(command, cwd=clone, env=variables) as process:
        try:
            deadline = time.monotonic() + 120
            while not (clone / "run/progress.json").exists():
                assert process.poll() is None, (clone / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            process.terminate()
            assert process.wait(60) == 75
        finally:
            process.kill()
    assert "stopped by SIGTERM" in (clone / "log").read_text()
