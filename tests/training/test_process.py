"""What is freed is used again, instead of being given back to the kernel and asked for anew."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from relatent.training.process import begin_computing
{begin}
net = torch.nn.Sequential(*[layer for _ in range(3) for layer in (torch.nn.Linear(1024, 1024), torch.nn.ELU())])
inputs = torch.ones(1024, 1024)
{work}
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for round in range({rounds}):
    if round == {rounds} // 2:
        before = faults()
    work()
print(2 * (faults() - before) / {rounds}, torch.get_num_threads())
"""
WORKS = {
    "one tensor of 40 MB": "work = lambda: torch.ones(1000, 10_000)",
    "gradients of 4 MB": "work = lambda: torch.autograd.grad(net(inputs).sum(), list(net.parameters()))",
}


def faults(begin: str, work: str, rounds: int = 30) -> tuple[float, int]:
    """Page faults each time that the work is done, once it has been done a few times, and the threads that did it."""
    script = SCRIPT.format(begin=begin, work=WORKS[work], rounds=rounds)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    return float(said[0]), int(said[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
@pytest.mark.parametrize("work", WORKS)
def test_memory_is_kept(work: str) -> None:
    found, threads = faults("begin_computing()", work)
    usual, _ = faults("", work)
    assert threads == 1
    assert usual > 20  # of 40 MB, in pages of 2 MB at most
    assert found < usual / 2  # now and then the heap still grows
