"""A real Slurm on this machine, as root or not: two nodes of 5 CPUs and one with two stand-in GPUs, on loopback."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.slurm.keeper import MARK

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "squeue")
NODES = ("c1", "c2", "g1")

# OverMemoryKill and process groups stand in for control groups; linuxproc, which follows parents, loses a Snakemake
# whose batch script ended first. config_overrides lets nodes claim more than this machine has. KillWait and
# SlurmdTimeout are short for the tests' sake. MinJobAge: finished jobs must be visible until Snakemake looks.
SLURM_CONF = """\
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket
CredType=cred/munge
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
EnforcePartLimits=ALL
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
MessageTimeout=5
MinJobAge=7200
KillWait=10
Waittime=0
JobRequeue=1
PreemptType=preempt/partition_prio
PropagatePrioProcess=1
PreemptMode=REQUEUE
GresTypes=gpu
AccountingStorageType=accounting_storage/none
NodeName=c1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=5 RealMemory=8000
NodeName=c2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=5 RealMemory=8000
NodeName=g1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[3]} CPUs=4 RealMemory=8000 Gres=gpu:2
PartitionName=cpu Nodes=c[1-2] Default=YES MaxTime=4320 PriorityTier=1
PartitionName=urgent Nodes=c[1-2] MaxTime=4320 PriorityTier=2
PartitionName=gpu Nodes=g1 MaxTime=4320
PartitionName=closed Nodes=c[1-2] MaxTime=4320 AllowAccounts=physics
"""

# A device that exists is enough to be counted and assigned.
GRES_CONF = """\
NodeName=g1 Name=gpu File=/dev/null
NodeName=g1 Name=gpu File=/dev/zero
"""

# The plugin strips SLURM_CONF before it calls srun, which on a real cluster finds /etc/slurm/slurm.conf.
SRUN = """\
#!/bin/sh
SLURM_CONF={folder}/etc/slurm.conf exec {srun} "$@"
"""


def missing() -> list[str]:
    """The programs that this machine does not have."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    return [name for name in PROGRAMS if not shutil.which(name, path=path)]


class Cluster:
    """Started when it is made; `stop`, or the end of this process, kills everything in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="relatent-slurm-"))
        self.folder.chmod(0o755)  # munge wants the way to its socket to be open
        for name in ("etc", "bin", "run", "log", "state", "munge", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge/munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        host, user = socket.gethostname().split(".")[0], subprocess.check_output(["id", "-un"], text=True).strip()
        conf = SLURM_CONF.format(host=host, user=user, folder=self.folder, ports=free_ports(1 + len(NODES)))
        (self.folder / "etc/slurm.conf").write_text(conf)
        (self.folder / "etc/gres.conf").write_text(GRES_CONF)
        (self.folder / "bin/srun").write_text(SRUN.format(folder=self.folder, srun=shutil.which("srun")))
        (self.folder / "bin/srun").chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{self.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "SLURM_CONF": f"{self.folder}/etc/slurm.conf",
            "OMP_NUM_THREADS": "1",
            MARK: str(self.folder),
        }
        for name in ("PYTHONPATH", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"):
            self.environment.pop(name, None)
        command = [sys.executable, str(Path(__file__).with_name("keeper.py")), str(self.folder)]
        self.keeper = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=self.environment)
        for name in NODES:
            self.start_node(name)
        self.until(lambda: self.states() == dict.fromkeys(NODES, "idle"), 60, "the cluster to start")

    def stop(self) -> None:
        assert self.keeper.stdin
        self.keeper.stdin.close()
        self.keeper.wait(timeout=60)

    def start_node(self, name: str) -> None:
        assert self.keeper.stdin
        print(name, file=self.keeper.stdin, flush=True)

    def kill_node(self, name: str) -> None:
        """kill -9 of a node's daemon; its jobs go on, but nobody hears of them."""
        os.kill(int((self.folder / f"run/{name}.pid").read_text()), signal.SIGKILL)

    def ask(self, *command: str) -> str:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, cwd=self.folder, check=False
        ).stdout

    def states(self) -> dict[str, str]:
        rows = (line.split() for line in self.ask("sinfo", "-h", "-N", "-o", "%N %t").splitlines())
        return {row[0]: row[1] for row in rows}

    def jobs(self, *states: str) -> list[str]:
        """The ids of the jobs in Slurm, of some states or all that have not ended."""
        chosen = ["-t", ",".join(states)] if states else []
        return self.ask("squeue", "-h", "-o", "%i", *chosen).split()

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something that must happen."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (
                f"{seconds:.0f} s are over: {what}\n{self.ask('scontrol', 'show', 'job')}"
            )
            time.sleep(0.2)


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
