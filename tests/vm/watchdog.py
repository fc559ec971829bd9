"""The watchdogs of real machines: what `picketd` and the kernel do with a device, and the end of a machine by its own hand.

    tests/vm/watchdog.py       needs no root; one machine under QEMU, emulated

One emulated machine with Debian's kernel, an emulated Intel 6300ESB and the kernel's softdog; no network, no libvirt. Each
part ends with the machine dead or alive, as it must: a boot has an identity of its own, which is read before and after.
"""

import shutil
import subprocess
import sys
import tarfile
import time

import rig
from rig import OUT, TIMING, Failure, check, program, run

WHERE = OUT / "watchdog"
TIMEOUT_S = 3

NODE = """
[node]
name = "n{me}"
state_dir = "/var/lib/picket/n{me}"
run_dir = "/run/picket/n{me}"
control_socket = "/run/picket/n{me}/picketd.sock"

[cluster]
name = "vm"
profile = "slow-watchdog"
heartbeat_key = "/etc/picket/heartbeat.key"
cold_start_timeout = "60s"
{timing}
[[member]]
name = "n{me}"
id = {me}
peer_address = "127.0.0.{me}:7420"

[[member]]
name = "n{other}"
id = {other}
peer_address = "127.0.0.{other}:7420"
paths = [{{ network = "lo", local = "127.0.0.{me}:7410", remote = "127.0.0.{other}:7410", prio = 1 }}]

[witness]
addresses = ["127.0.0.3:7443"]
server_name = "w1"

[tls]
ca = "/etc/picket/ca.pem"
cert = "/etc/picket/n{me}.pem"
key = "/etc/picket/n{me}.key"

[watchdog]
{watchdog}

[[volume]]
name = "data"
id = 1
members = ["n1", "n2"]
driver = "command"
barrier = "none"
loss_action = "osu"
demote_timeout = "5s"
command.status = ["/payload/volume"]
command.promote = ["/payload/volume"]
command.demote = ["/payload/volume"]

[[fence.n{other}.level]]
kind = "meatware"
"""

WITNESS = """
listen = "127.0.0.3:7443"
state = "/var/lib/picket/witness"

[tls]
ca = "/etc/picket/ca.pem"
cert = "/etc/picket/w1.pem"
key = "/etc/picket/w1.key"

[[cluster]]
name = "vm"
profile = "slow-watchdog"
node = [{{ name = "n1", id = 1 }}, {{ name = "n2", id = 2 }}]
volume = [{{ name = "data", id = 1, members = ["n1", "n2"] }}]
{timing}
"""

# A volume that is a file's word; with /run/stuck it does not stop.
VOLUME = """#!/bin/sh
role=/run/volume.$PICKET_NODE
case $PICKET_ACTION in
status) echo "role=$(cat $role 2>/dev/null || echo secondary)" ;;
promote) echo primary >$role ;;
demote) [ ! -e /run/stuck ] && echo secondary >$role ;;
esac
"""

DEVICE = f'kind = "device"\ndevice = "/dev/watchdog0"\neffective = "{TIMEOUT_S + 2}s"\ntimeout = "{TIMEOUT_S}s"'
OWN_HAND = 'kind = "self-reset"'


def pack():
    """All that the machine runs, as an archive that becomes its third disk."""
    pki = WHERE / "pki"
    shutil.rmtree(pki, ignore_errors=True)
    cert = [program("picket"), "cert"]
    run(*cert, "init", pki)
    run(*cert, "issue", "witness", "w1", "--ca", pki, "--out", pki, "--reached-as", "127.0.0.3")
    for node in ("n1", "n2"):
        run(*cert, "issue", "node", node, "--cluster", "vm", "--ca", pki, "--out", pki)
    run(*cert, "heartbeat-key", pki / "heartbeat.key")
    files = {"payload/volume": VOLUME, "etc/picket/witness.toml": WITNESS.format(timing=TIMING)}
    for me, other in ((1, 2), (2, 1)):
        for name, watchdog in (("device", DEVICE), ("own", OWN_HAND)):
            text = NODE.format(me=me, other=other, timing=TIMING, watchdog=watchdog)
            files[f"etc/picket/n{me}.{name}.toml"] = text
    with tarfile.open(WHERE / "payload.tar", "w") as archive:
        for name in ("picketd", "picket", "picket-witness"):
            run("strip", "-o", WHERE / name, program(name))
            archive.add(WHERE / name, f"usr/sbin/{name}")
        for name in ("ca.pem", "w1.pem", "w1.key", "n1.pem", "n1.key", "n2.pem", "n2.key", "heartbeat.key"):
            archive.add(pki / name, f"etc/picket/{name}", filter=owned_by_root)
        for name, text in files.items():
            file = WHERE / "text"
            file.write_text(text)
            file.chmod(0o755)
            archive.add(file, name, filter=owned_by_root)


def owned_by_root(member):
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


class Machine(rig.Guest):
    """The emulated machine, without a hypervisor's daemon."""

    def __init__(self):
        super().__init__(1)
        self.process = None
        for disk, mib in rig.DISKS.items():
            with open(WHERE / disk, "wb") as file:
                file.truncate(mib << 20)

    def ports(self):
        return WHERE

    def power_on(self):
        words = ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,tb-size=96", "-cpu", "max", "-m", str(rig.MEMORY_MIB)]
        words += ["-display", "none", "-nodefaults", "-no-user-config", "-serial", f"file:{WHERE}/console"]
        words += ["-kernel", f"{OUT}/vmlinux", "-initrd", f"{OUT}/initrd.img"]
        words += ["-append", f"console=ttyS0 quiet {rig.KERNEL} picket.node=1"]
        for disk in [*rig.DISKS, "payload.tar"]:
            words += ["-drive", f"file={WHERE}/{disk},format=raw,if=virtio{',readonly=on' if disk == 'payload.tar' else ''}"]
        words += ["-device", "virtio-serial"]
        for port in ("ask", "tell"):
            words += ["-chardev", f"socket,id={port},path={WHERE}/n1.{port},server=on,wait=off"]
            words += ["-device", f"virtserialport,chardev={port},name=picket.{port}"]
        words += ["-device", "i6300esb", "-action", "watchdog=reset", "-action", "reboot=reset"]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        self.attach()
        self.booted()

    def power_off(self):
        self.process.kill()
        self.process.wait()

    def boot_id(self):
        return self.ask("cat /proc/sys/kernel/random/boot_id")

    def dies(self, boot, why):
        """Waits for another boot of the machine than this one."""
        deadline = time.monotonic() + rig.BOOT_S
        while time.monotonic() < deadline:
            self.booted()
            if self.boot_id() != boot:
                return
            time.sleep(1)  # it answers still; nothing tells from outside when it does not
        raise Failure(f"the machine lives on: {why}")

    def lives(self, boot, seconds, why):
        """Waits so long inside the machine, where the watchdog's time goes by."""
        self.ask(f"sleep {seconds}")
        check(self.boot_id() == boot, f"the machine died: {why}")


class Console:
    """What the machine's kernel prints from now on."""

    def __init__(self):
        self.file = WHERE / "console"
        self.start = self.file.stat().st_size

    def said(self):
        return self.file.read_bytes()[self.start :].decode(errors="replace")


def daemon(machine, config, node=1):
    """Starts `picketd`; its number."""
    machine.ask(f"mkdir -p /run/picket/n{node} /var/lib/picket/n{node}; chmod 600 /etc/picket/*.key")
    log = f"/run/picket/n{node}.log"
    machine.ask(f"setsid picketd --config /etc/picket/n{node}.{config}.toml >{log} 2>&1 & echo $! >/run/picket/n{node}.pid")
    return machine.ask(f"cat /run/picket/n{node}.pid")


def armed(machine):
    machine.ask("until grep -q watchdog-armed /run/picket/n1.log; do kill -0 $(cat /run/picket/n1.pid) || exit 1; sleep 0.2; done")


def measured(machine, module):
    """`picketd watchdog measure` lets the machine die and tells afterwards how long that took."""
    boot, record = machine.boot_id(), f"/var/lib/picket/{module}.measured"
    machine.ask(f"modprobe {module} && test -c /dev/watchdog0")
    words = f"picketd watchdog measure /dev/watchdog0 --timeout {TIMEOUT_S}s"
    refused, said = machine.ask(words, expect=None)
    check(refused == 1 and "--this-machine-will-be-reset" in said, f"a measurement without consent: {said}")
    machine.begin(f"{words} --record {record} --this-machine-will-be-reset")
    machine.dies(boot, f"{module} was not petted")
    told = machine.ask(f"picketd watchdog recorded {record}")
    effective = int(told.removeprefix('effective = "').removesuffix('ms"'))
    check(effective >= TIMEOUT_S * 900, f"{module} bit before its time: {told}")
    return told


def i6300esb(machine):
    print(f"   the device, set to {TIMEOUT_S} s: {measured(machine, 'i6300esb')}", flush=True)


def softdog(machine):
    print(f"   softdog, set to {TIMEOUT_S} s: {measured(machine, 'softdog')}", flush=True)


def killed(machine):
    """A daemon that is killed does not pet; one that is stopped does not either."""
    for signal in ("KILL", "STOP"):
        boot = machine.boot_id()
        machine.ask("modprobe i6300esb")
        pid = daemon(machine, "device")
        armed(machine)
        machine.lives(boot, 3 * TIMEOUT_S, "its daemon runs and pets")
        machine.begin(f"kill -{signal} {pid}")
        machine.dies(boot, f"its daemon got SIG{signal}")
        print(f"   petted for three times its timeout, then SIG{signal}: the machine was reset", flush=True)


def ended(machine):
    """A daemon that holds nothing and is told to end switches the watchdog off."""
    boot = machine.boot_id()
    machine.ask("modprobe i6300esb")
    pid = daemon(machine, "device")
    armed(machine)
    machine.ask(f"kill -TERM {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.1; done")
    machine.lives(boot, 3 * TIMEOUT_S, "its daemon was told to end")


def cluster(machine, config):
    """A witness and two nodes, the first of them with this configuration; the number of the active one."""
    machine.ask("mkdir -p /run/picket /var/lib/picket/witness; chmod 600 /etc/picket/*.key")
    words = "picket-witness --config /etc/picket/witness.toml"
    machine.ask(f"setsid {words} >/run/picket/witness.log 2>&1 & echo $! >/run/picket/witness.pid")
    daemon(machine, config, 1)
    daemon(machine, "own", 2)
    return machine.ask("until grep -l primary /run/volume.n*; do sleep 0.5; done", rig.BOOT_S)[-1]


# Daemons that are killed as soon as they say what became of the watchdog, so many of them; each is counted on the disk.
RESTARTS = 200
RESTARTING = f"""for n in $(seq {RESTARTS}); do
  kill -KILL $(cat /run/picket/n1.pid)
  setsid picketd --config /etc/picket/n1.device.toml >/run/picket/n1.log 2>&1 & echo $! >/run/picket/n1.pid
  until grep -q watchdog-armed /run/picket/n1.log; do sleep 0.05; done
  echo $n >/var/lib/picket/restarts; sync
done"""


def dies_at_each_start(machine):
    """A holder cut off whose daemon dies at each start: opening the device must not keep its machine alive."""
    machine.ask("modprobe i6300esb")
    if cluster(machine, "device") != "1":
        machine.ask("picket --socket /run/picket/n2/picketd.sock move data n1")
    machine.ask("until grep -q primary /run/volume.n1; do sleep 0.5; done", rig.BOOT_S)
    boot = machine.boot_id()
    machine.ask("rm -f /var/lib/picket/restarts; kill -STOP $(cat /run/picket/witness.pid) $(cat /run/picket/n2.pid); sleep 2")
    console = Console()
    machine.begin(RESTARTING)
    machine.dies(boot, "its daemons came and went, and none may pet")
    # A daemon that finds its lease over resets the machine; the watchdog must have been earlier.
    said = console.said()
    check("sysrq" not in said.lower(), f"the watchdog did not end the machine before its lease was over:\n{said}")
    count = int(machine.ask("cat /var/lib/picket/restarts || echo 0"))
    check(count < RESTARTS, f"the machine lived through all of {count} restarts")
    print(f"   dead in the restart after {count} of {RESTARTS}", flush=True)


def own_hand(machine):
    """A volume that does not stop: the machine resets itself through the kernel."""
    boot = machine.boot_id()
    active = cluster(machine, "own")
    other = "2" if active == "1" else "1"
    machine.ask("touch /run/stuck")
    console = Console()
    machine.begin(f"picket --socket /run/picket/n{active}/picketd.sock move data n{other}")
    machine.dies(boot, "its volume does not stop")
    said = console.said()
    check("picket" in said, f"the kernel's log names nobody:\n{said}")
    line = next(line for line in said.splitlines() if "picket" in line)
    print(f"   {line.strip()}", flush=True)


PARTS = {
    "i6300esb": i6300esb,
    "softdog": softdog,
    "killed": killed,
    "ended": ended,
    "dies-at-each-start": dies_at_each_start,
    "own-hand": own_hand,
}


def main(words):
    WHERE.mkdir(parents=True, exist_ok=True)
    pack()
    machine, failed = Machine(), []
    try:
        machine.power_on()
        for name in words or list(PARTS):
            print(f"-- {name}", flush=True)
            try:
                PARTS[name](machine)
                print(f"ok      {name}", flush=True)
            except Failure as failure:
                failed.append(name)
                print(f"FAILED  {name}: {failure}", flush=True)
    finally:
        machine.power_off()
    print(f"{len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
