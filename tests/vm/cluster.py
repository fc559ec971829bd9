"""Picket on the two machines: certificates, configurations, what is packed for the guests, the witness beside them.

A writer on whichever node is Primary mounts the file system on DRBD and appends numbered, checksummed lines, each synced
before it is told to the outside. What was told is acknowledged: it must be on every copy that is ever served again.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

from rig import OUT, TIMING, certificates, check, program, run, until

LONG_S = 600  # a failover takes seconds, on a machine that is not busy
WITNESS = "10.77.3.254"

NODE = """
[node]
name = "n{me}"
state_dir = "/var/lib/picket/state"
run_dir = "/run/picket"
control_socket = "/run/picket/picketd.sock"

[cluster]
name = "vm"
profile = "slow-watchdog"
heartbeat_key = "/etc/picket/heartbeat.key"
cold_start_timeout = "60s"
{timing}
[[member]]
name = "n{me}"
id = {me}
peer_address = "10.77.3.{me}:7420"

[[member]]
name = "n{other}"
id = {other}
peer_address = "10.77.3.{other}:7420"
paths = [
  {{ network = "beat", local = "10.77.2.{me}:7410", remote = "10.77.2.{other}:7410", prio = 1 }},
  {{ network = "serve", local = "10.77.3.{me}:7410", remote = "10.77.3.{other}:7410", prio = 2 }},
]

[witness]
addresses = ["{witness}:7443"]
server_name = "w1"

[tls]
ca = "/etc/picket/ca.pem"
cert = "/etc/picket/n{me}.pem"
key = "/etc/picket/n{me}.key"

[watchdog]
kind = "device"
device = "/dev/watchdog0"
effective = "10s"
timeout = "9s"
"""

VOLUME = """
[[volume]]
name = "data"
id = 1
driver = "drbd"
drbd.resource = "r0"
drbd.drbdadm = "/sbin/drbdadm"
drbd.drbdsetup = "/sbin/drbdsetup"
loss_action = "fastboot"
demote_timeout = "20s"
promote_timeout = "60s"

[[resource]]
tag = "fs"
volume = "data"
kind = "command"
command.start = ["/payload/fs", "start"]
command.stop = ["/payload/fs", "stop"]
command.status = ["/payload/fs", "status"]
"""

FENCE = """
[[fence.n{other}.level]]
agent = "fence_picket_libvirt"
timeout = "120s"
options = {{ uri = "qemu://{witness}/system", port = "n{other}", login_timeout = "60", shell_timeout = "60", power_timeout = "60", tls_ca_file = "/etc/picket/hyper/ca.pem", tls_cert_file = "/etc/picket/hyper/client.pem", tls_key_file = "/etc/picket/hyper/client.key" }}
"""

# Beside what `picket config drbd` prints: hosts, and timeouts that bear emulation.
ADDED = {
    "resource r0": """
  device /dev/drbd0;
  disk /dev/vda;
  meta-disk internal;
  on n1 { address 10.77.1.1:7789; }
  on n2 { address 10.77.1.2:7789; }""",
    "net": " ping-int 5; ping-timeout 50; connect-int 5; timeout 40; ko-count 3;",
    "disk": " resync-rate 100M;",
}

WITNESS_FILE = """
listen = "{witness}:7443"
state = "{state}"

[tls]
ca = "{pki}/ca.pem"
cert = "{pki}/w1.pem"
key = "{pki}/w1.key"

[[cluster]]
name = "vm"
profile = "slow-watchdog"
node = [{{ name = "n1", id = 1 }}, {{ name = "n2", id = 2 }}]
volume = [{{ name = "data", id = 1, members = ["n1", "n2"] }}]
{timing}
"""


def node_file(me, other, volumes):
    """A node's configuration with these volumes and what stands above them."""
    ends = {"me": me, "other": other, "witness": WITNESS, "timing": TIMING}
    return NODE.format(**ends) + volumes + FENCE.format(**ends)


def pack():
    """Everything that the guests run, as one archive that becomes their third disk."""
    certificates(OUT / "pki")
    pki = OUT / "picket"
    if not (pki / "heartbeat.key").exists():
        shutil.rmtree(pki, ignore_errors=True)
        cert = [program("picket"), "cert"]
        run(*cert, "init", pki)
        run(*cert, "issue", "witness", "w1", "--ca", pki, "--out", pki, "--reached-as", WITNESS)
        for node in (1, 2):
            run(*cert, "issue", "node", f"n{node}", "--cluster", "vm", "--ca", pki, "--out", pki)
        (pki / "heartbeat.key").write_text(os.urandom(32).hex() + "\n")
        (pki / "heartbeat.key").chmod(0o600)
    here = pathlib.Path(__file__).parent
    with tarfile.open(OUT / "payload.tar", "w") as archive:
        for name in ("picketd", "picket", "picket-fence", "picket-drbd-fence-peer", "picket-drbd-unfence"):
            stripped = OUT / f"{name}.stripped"
            run("strip", "-o", stripped, program(name))
            archive.add(stripped, f"usr/sbin/{name}")
        link = tarfile.TarInfo("usr/sbin/fence_picket_libvirt")
        link.type, link.linkname = tarfile.SYMTYPE, "picket-fence"
        archive.addfile(link)
        for script in ("start", "write", "watch", "fs"):
            archive.add(here / "payload" / script, f"payload/{script}")
        for file in ("ca.pem", "n1.pem", "n1.key", "n2.pem", "n2.key", "heartbeat.key"):
            archive.add(pki / file, f"etc/picket/{file}")
        for file in ("ca.pem", "client.pem", "client.key"):
            archive.add(OUT / "pki" / file, f"etc/picket/hyper/{file}")
        resource = OUT / "r0.res"
        lines = run(program("picket"), "config", "drbd", "r0").stdout
        for section, more in ADDED.items():
            lines = lines.replace(f"{section} {{\n", f"{section} {{{more}\n", 1)
        resource.write_text(lines)
        archive.add(resource, "etc/drbd.d/r0.res")
        for me, other in ((1, 2), (2, 1)):
            text = OUT / f"n{me}.toml"
            text.write_text(node_file(me, other, VOLUME))
            archive.add(text, f"etc/picket/n{me}.toml")


class Cluster:
    """The witness, and what the machines are seen to do."""

    def __init__(self, machines):
        self.machines = machines
        self.witness = None

    def start_witness(self):
        pki, config = OUT / "picket", OUT / "witness.toml"
        config.write_text(WITNESS_FILE.format(witness=WITNESS, state=OUT / "witness", pki=pki, timing=TIMING))
        log = open(OUT / "witness.log", "ab")
        self.witness = subprocess.Popen([program("picket-witness"), "--config", config], stdout=log, stderr=log)

    def kill_witness(self):
        self.witness.kill()
        self.witness.wait()

    def fresh(self, prepare="true"):
        """New disks, a new witness, both machines up, a file system, one node active, both in sync. `prepare` is run in
        each machine before its daemon."""
        self.blank()
        for number in (1, 2):
            self.machines[number].ask(f"{prepare}; drbdadm create-md --force r0 && drbdadm up r0", LONG_S)
        self.connected()
        self.machines[1].ask("drbdadm -- --clear-bitmap new-current-uuid r0", LONG_S)
        self.daemons()
        active = self.active()
        self.writes(active)
        self.in_sync()
        return active

    def blank(self):
        """New disks, a new witness, both machines up. The former machines are off before the new witness runs: they would
        tell it of what they held."""
        if self.witness:
            self.kill_witness()
        shutil.rmtree(OUT / "witness", ignore_errors=True)
        self.machines.fresh()
        self.start_witness()
        for number in (1, 2):
            self.machines[number].news.clear()

    def connected(self):
        until(lambda: self.drbd(1, "cstate") == "Connected", "the pair is connected", LONG_S)

    def daemons(self):
        """Lets the daemons start, which wait on empty disks."""
        for number in (1, 2):
            self.machines[number].ask("touch /var/lib/picket/ready", LONG_S)

    def role(self, number):
        return self.drbd(number, "role").split("/")[0]

    def drbd(self, number, what):
        """DRBD's word there; nothing where drbdadm fails, as it does when a starved kernel takes seconds to answer it."""
        code, said = self.machines[number].ask(f"drbdadm {what} r0 2>/dev/null", LONG_S, expect=None)
        return said.strip() if code == 0 else ""

    def active(self, among=(1, 2)):
        def found():
            return next((number for number in among if self.role(number) == "Primary"), None)

        return until(found, f"one of {among} is active", LONG_S, 1)

    def acks(self, number):
        return [line for _, line in self.machines[number].news if line.startswith("ack ")]

    def writes(self, number):
        """Waits for a new acknowledged write there."""
        before = len(self.acks(number))
        until(lambda: len(self.acks(number)) > before, f"n{number} acknowledges a write", LONG_S)

    def in_sync(self):
        def both():
            return all(
                self.drbd(number, "dstate") == "UpToDate/UpToDate"
                and self.isr(number) == {"n1", "n2"}
                for number in (1, 2)
            )

        until(both, "both are in sync, and recorded so", LONG_S, 1)

    def isr(self, number):
        """The in-sync set, as that node knows it; empty while its daemon does not answer."""
        return set(self.volume(number).get("isr", []))

    def volume(self, number):
        """What that node's status says of the volume; nothing while its daemon does not answer."""
        _, said = self.machines[number].ask("picket status --json", LONG_S, expect=None)
        try:
            return json.loads(said[said.index("{"):])["volumes"][0]
        except (ValueError, KeyError, IndexError):
            return {}

    def holds(self, number, above):
        """Whether the volume is active there by a grant with an epoch above this one."""
        told = self.volume(number)
        return told.get("role") == "PRIMARY" and told.get("phase") == "HOLDER" and int(told.get("epoch", 0)) > above

    def why(self, number):
        """Why the volume is active there or not."""
        told = self.volume(number)
        return f"{told.get('why_word')}: {told.get('why')}"

    def fences(self, number):
        """The fences that this node has tried, and how they ended."""
        return self.machines[number].ask("picket fence history", LONG_S, expect=None)[1]

    def kernel_log(self, number):
        """What the kernel there has said of DRBD in this boot."""
        return self.machines[number].ask("dmesg | grep drbd; true", LONG_S)

    def sees(self, number, word):
        """Waits until the observer there tells of this; what was acknowledged before has been told before."""
        news = self.machines[number].news
        before = len(news)
        until(lambda: any(line.startswith("seen ") and line.endswith(f" {word}") for _, line in news[before:]),
              f"n{number} is seen {word}", LONG_S)

    def goes_on(self):
        """Waits for a new acknowledged write anywhere; the node."""
        before = {number: len(self.acks(number)) for number in (1, 2)}
        return until(lambda: next((number for number in (1, 2) if len(self.acks(number)) > before[number]), None),
                     "a write is acknowledged", LONG_S)

    def nothing_is_lost(self, number):
        """Every acknowledged line of either node is in the file, whole, and in its node's order."""
        told = {node: self.acks(node) for node in (1, 2)}  # by now: what is told while the file is read need not be in it
        held = self.machines[number].ask("cat /mnt/data/acked/ledger", LONG_S).splitlines()
        for line in held:
            text, _, sum_told = line.rpartition(" ")
            check(hashlib.md5(f"{text}\n".encode()).hexdigest() == sum_told, f"a damaged line: {line!r}")
        for node in (1, 2):
            lost = [line for line in told[node] if line.removeprefix("ack ") not in set(held)]
            check(not lost, f"{len(lost)} acknowledged writes of n{node} are lost, the first is {lost[:1]}")
        return len(held)

    def switches(self):
        """How often the acknowledging node changed, in the order of what was heard here."""
        told = sorted((when, number) for number in (1, 2) for when, line in self.machines[number].news if line.startswith("ack "))
        return sum(1 for (_, one), (_, two) in zip(told, told[1:]) if one != two)


    def never_two(self):
        """No sample of one node as writable lies between two in a row of the other as writable, of one boot of it."""
        seen = {
            number: [(when, *line.split()[1:]) for when, line in self.machines[number].news if line.startswith("seen ")]
            for number in (1, 2)
        }
        for one, two in ((1, 2), (2, 1)):
            spans = [
                (before[0], after[0])
                for before, after in zip(seen[one], seen[one][1:])
                if before[1:] == after[1:] and before[2] == "writable"
            ]
            for when, _, word in seen[two]:
                both = word == "writable" and any(begin < when < end for begin, end in spans)
                check(not both, f"n{two} was writable between two samples of n{one} as writable, at {when}")
        return sum(len(samples) for samples in seen.values())
