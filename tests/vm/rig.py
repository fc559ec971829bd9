"""Two emulated machines with a real kernel and its DRBD, and what is done to them.

            ┌── repl 10.77.1.N ──┐   DRBD's replication
        [ n1 ]─ beat 10.77.2.N ─[ n2 ]   heartbeats
            └── serve 10.77.3.N ─┘   witness (.254), power switch, heartbeats

All of it lives in network, mount and process namespaces that end with this program (tests/vm/run makes them), so that
nothing of the host is touched and nothing stays behind, however it ends. Orders to a guest go over a serial port: they
arrive with every network cut.
"""

import base64
import os
import pathlib
import socket
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "out" / "vm"
TARGET = pathlib.Path(os.environ.get("PICKET_VM_TARGET", OUT.parent.parent.parent / "target" / "release"))
LINKS = {"repl": 1, "beat": 2, "serve": 3}
NODES = (1, 2)
SPARE = "spare"
MEMORY_MIB = 400  # with the emulator's own buffer well below half a gigabyte a guest
# Emulation on a busy machine gets a twentieth of a processor: a boot of 10 s takes minutes. Nothing that works is cut off.
BOOT_S = 1200
ASK_S = 900
# What a kernel need not do under emulation: tests of its ciphers, defences against other tenants, timer calibration.
KERNEL = (
    "no_timer_check lpj=4000000 cryptomgr.notests mitigations=off nopti no5lvl audit=0 apparmor=0 nowatchdog "
    "rcupdate.rcu_cpu_stall_suppress=1 random.trust_cpu=on"
)
URI = "qemu:///system"
DISKS = {"vda": 64, "vdb": 24}  # MiB: DRBD's, the machine's own state

# Wide enough that a stall of the emulation looks like nobody's death.
TIMING = """
timing.heartbeat = "1000ms"
timing.misses = 5
timing.watchdog = "10s"
timing.pet = "500ms"
timing.lease = "40s"
timing.freeze_before = "15s"
timing.freeze_time = "3s"
timing.guard = "2s"
timing.lateness = "1s"
timing.start_within = "10s"
"""


class Failure(Exception):
    """What was seen is not what must be."""


def check(holds, what):
    if not holds:
        raise Failure(what)


def run(*words, expect=0, limit_s=240):
    done = subprocess.run([str(word) for word in words], text=True, capture_output=True, timeout=limit_s)
    if expect is not None and done.returncode != expect:
        raise Failure(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def program(name):
    """One of ours, as it was built."""
    path = TARGET / name
    check(path.exists(), f"{path} was not built")
    return path


def until(holds, what, limit_s=ASK_S, pause_s=0.1):
    """Waits for an event with a deadline; the pause only keeps the processor free."""
    deadline = time.monotonic() + limit_s
    while True:
        seen = holds()
        if seen:
            return seen
        check(time.monotonic() < deadline, f"not within {limit_s} s: {what}")
        time.sleep(pause_s)


class Guest:
    """One machine: its serial ports, its power."""

    def __init__(self, number):
        self.number = number
        self.name = f"n{number}"
        self.asked = 0
        self.lock = threading.Lock()
        self.port = None
        self.answers = {}
        self.news = []  # (when it was read here, line): what the guest tells by itself
        self.stop = threading.Event()
        self.readers, self.links = [], []

    # --- power

    def start(self):
        run("virsh", "-q", "-c", URI, "start", self.name)
        self.attach()

    def attach(self):
        self.detach()
        self.stop = threading.Event()
        self.port, tell = self.connect("ask"), self.connect("tell")
        self.links = [self.port, tell]
        self.readers = [
            threading.Thread(target=self.read_answers, args=(self.port, self.stop), daemon=True),
            threading.Thread(target=self.read_news, args=(tell, self.stop), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def detach(self):
        self.stop.set()
        for reader in self.readers:
            reader.join()
        for link in self.links:
            link.close()
        self.readers, self.links = [], []

    def destroy(self):
        run("virsh", "-q", "-c", URI, "destroy", self.name, expect=None)
        until(lambda: self.state() == "shut off", f"{self.name} is off")

    def on(self):
        """On, with its ports open: a machine that was fenced has new ones."""
        # A fence agent may be about to switch it on as well.
        run("virsh", "-q", "-c", URI, "start", self.name, expect=None)
        until(lambda: self.state() == "running", f"{self.name} is on")
        self.attach()
        self.booted()

    def suspend(self):
        run("virsh", "-q", "-c", URI, "suspend", self.name)

    def resume(self):
        run("virsh", "-q", "-c", URI, "resume", self.name)

    def state(self):
        return run("virsh", "-q", "-c", URI, "domstate", self.name).stdout.strip()

    # --- words

    def ports(self):
        return "/run/picket-vm"

    def connect(self, port):
        path = f"{self.ports()}/{self.name}.{port}"

        def opened():
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(path)
                return link
            except OSError:
                link.close()
                return None

        link = until(opened, f"{path} opens")
        link.settimeout(0.2)
        return link

    def lines(self, link, stop):
        buffered = b""
        while not stop.is_set():
            try:
                some = link.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                return
            if not some:
                return
            buffered += some
            *whole, buffered = buffered.split(b"\n")
            for line in whole:
                yield line.decode(errors="replace").strip()

    def read_answers(self, link, stop):
        for line in self.lines(link, stop):
            identity, _, rest = line.partition(" ")
            code, _, text = rest.partition(" ")
            if code.isdigit():
                self.answers[identity] = (int(code), base64.b64decode(text).decode(errors="replace"))

    def read_news(self, link, stop):
        for line in self.lines(link, stop):
            self.news.append((time.monotonic(), line))

    def linked(self):
        """Whether both ports are open; they end with the emulator, whoever switched it off."""
        return all(reader.is_alive() for reader in self.readers)

    def begin(self, script, limit_s=ASK_S):
        """Sends a script and returns at once what its answer is found by. It has none if the machine goes off."""
        with self.lock:
            self.asked += 1
            identity = f"{os.getpid()}x{self.number}x{self.asked}"
            script = "export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin\n" + script
            text = base64.b64encode(script.encode()).decode()
            try:
                self.port.sendall(f"{identity} {int(limit_s)} {text}\n".encode())
            except OSError:
                pass  # the port is gone, which the readers see as well
        return identity

    def ask(self, script, limit_s=ASK_S, expect=0):
        """Runs a script in the guest; its output. With `expect` None the pair of exit status and output. If somebody else, a
        fence say, switches the machine off and on meanwhile, it is asked again on the new one."""
        identity = self.begin(script, limit_s)

        def answered():
            nonlocal identity
            if not self.linked():
                self.attach()
                self.booted()
                identity = self.begin(script, limit_s)
            return self.answers.pop(identity, None)

        code, said = until(answered, f"{self.name}: {script[:60]!r} ends", limit_s + 30, 0.02)
        if expect is None:
            return code, said
        check(code == expect, f"{self.name}: {script!r}: exit {code}\n{said}")
        return said.strip()

    def booted(self):
        """Waits until the guest answers. What was sent while the port had no reader may be lost, so it is asked again; on new
        ports if somebody else, a fence say, switches it off and on meanwhile."""
        asked, deadline = set(), time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            if not self.linked():
                self.attach()
            asked.add(self.begin("true", 5))
            try:
                until(lambda: asked & set(self.answers), "an answer", 20)
                return
            except Failure:
                continue
        raise Failure(f"{self.name} did not boot: see {OUT}/{self.name}.console")


class Rig:
    """Both guests, the links between them, the hypervisor.

    With `own_time` a guest's clock follows the instructions that it was given the processor for: on a busy machine its
    time slows down and no timeout fires for want of a processor. Not where a lease is at stake: such clocks drift.
    """

    def __init__(self, own_time=False):
        self.own_time = own_time
        self.guests = {number: Guest(number) for number in NODES}
        self.libvirtd = None

    def __getitem__(self, number):
        return self.guests[number]

    def up(self):
        self.networks()
        self.hypervisor()
        for guest in self.guests.values():
            define(guest, self.own_time)
        self.boot()

    def boot(self):
        for guest in self.guests.values():
            guest.start()
        for guest in self.guests.values():
            guest.booted()

    def fresh(self):
        """Both machines off and on again with empty disks."""
        for guest in self.guests.values():
            if guest.state() != "shut off":
                guest.destroy()
            empty_disks(guest)
        self.heal()
        self.boot()

    def networks(self):
        # A new namespace has no address yet. On the host all of this would be left behind.
        check(run("ip", "-o", "address").stdout == "", "these are no namespaces of their own: start it with tests/vm/run")
        run("ip", "link", "set", "lo", "up")
        for link in LINKS:
            run("ip", "link", "add", f"br-{link}", "type", "bridge", "mcast_snooping", 0, "stp_state", 0)
            run("ip", "link", "set", f"br-{link}", "up")
        run("ip", "address", "add", "10.77.3.254/24", "dev", "br-serve")

    def hypervisor(self):
        for folder in ("/run/libvirt", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"):
            os.makedirs(folder, exist_ok=True)
            run("mount", "-t", "tmpfs", "none", folder)
        os.makedirs("/run/picket-vm", exist_ok=True)
        os.makedirs("/var/lib/libvirt/qemu", exist_ok=True)
        pathlib.Path("/etc/libvirt/qemu.conf").write_text(
            'user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = [ ]\nnamespaces = [ ]\n'
            'stdio_handler = "file"\ndynamic_ownership = 0\nremember_owner = 0\n'
        )
        pki = OUT / "pki"
        certificates(pki)
        pathlib.Path("/etc/libvirt/libvirtd.conf").write_text(
            'auth_unix_rw = "none"\nunix_sock_group = "root"\nlisten_tls = 1\nlisten_addr = "10.77.3.254"\n'
            f'ca_file = "{pki}/ca.pem"\ncert_file = "{pki}/server.pem"\nkey_file = "{pki}/server.key"\n'
        )
        log = open(OUT / "libvirtd.log", "wb")
        nobus = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
        self.libvirtd = subprocess.Popen(["libvirtd", "--listen"], stdout=log, stderr=log, env=nobus)
        until(lambda: run("virsh", "-q", "-c", URI, "version", expect=None).returncode == 0, "libvirtd answers", BOOT_S)

    def spare(self):
        """Another machine of this hypervisor, off: a plug that is not that of either node."""
        definition = OUT / f"{SPARE}.xml"
        definition.write_text(
            f"<domain type='qemu'><name>{SPARE}</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>"
            "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
            "<memballoon model='none'/><controller type='usb' model='none'/></devices></domain>"
        )
        run("virsh", "-q", "-c", URI, "destroy", SPARE, expect=None)
        run("virsh", "-q", "-c", URI, "define", definition)

    # --- links

    def cut(self, link, node=None, way="both"):
        """Black hole: the guest keeps its carrier. `way`: tx (what the node sends is lost), rx, or both."""
        for number in [node] if node else NODES:
            tap = f"t-{link}{number}"
            if way in ("tx", "both"):
                for chain in ("FORWARD", "INPUT"):
                    run("ebtables", "-I", chain, "-i", tap, "-j", "DROP")
            if way in ("rx", "both"):
                for chain in ("FORWARD", "OUTPUT"):
                    run("ebtables", "-I", chain, "-o", tap, "-j", "DROP")

    def mend(self, link):
        """That link again, whatever else is cut."""
        for number in NODES:
            tap = f"t-{link}{number}"
            for end, chains in (("-i", ("FORWARD", "INPUT")), ("-o", ("FORWARD", "OUTPUT"))):
                for chain in chains:
                    while run("ebtables", "-D", chain, end, tap, "-j", "DROP", expect=None).returncode == 0:
                        pass

    def isolate(self, node):
        for link in LINKS:
            self.cut(link, node)

    def silence_power(self):
        """The hypervisor hears no fence agent; all else goes on."""
        run("ebtables", "-t", "nat", "-I", "PREROUTING", "-p", "IPv4", "--ip-proto", "tcp", "--ip-dport", 16514, "-j", "DROP")

    def heal(self, power=True):
        """All links; the power switch with them, or not for a moment."""
        run("ebtables", "-F")
        if power:
            run("ebtables", "-t", "nat", "-F")


def define(guest, own_time):
    empty_disks(guest)
    console = OUT / f"{guest.name}.console"
    console.write_bytes(b"")
    disks = "".join(
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{OUT}/{guest.name}.{disk}'/>"
        f"<target dev='{disk}' bus='virtio'/></disk>"
        for disk in DISKS
    )
    payload = OUT / "payload.tar"
    if payload.exists():
        disks += (
            f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{payload}'/>"
            "<target dev='vdc' bus='virtio'/><readonly/></disk>"
        )
    networks = "".join(
        f"<interface type='bridge'><mac address='52:54:00:77:0{number}:0{guest.number}'/><source bridge='br-{link}'/>"
        f"<target dev='t-{link}{guest.number}'/><model type='virtio'/></interface>"
        for link, number in LINKS.items()
    )
    ports = "".join(
        f"<channel type='unix'><source mode='bind' path='/run/picket-vm/{guest.name}.{port}'/>"
        f"<target type='virtio' name='picket.{port}'/></channel>"
        for port in ("ask", "tell")
    )
    clock = "<qemu:commandline><qemu:arg value='-icount'/><qemu:arg value='shift=1'/></qemu:commandline>"
    clock = clock if own_time else ""
    definition = OUT / f"{guest.name}.xml"
    definition.write_text(
        f"<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>{guest.name}</name><uuid>7069636b-6574-4000-8000-00000000000{guest.number}</uuid>"
        f"<memory unit='MiB'>{MEMORY_MIB}</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type>"
        f"<kernel>{OUT}/vmlinux</kernel><initrd>{OUT}/initrd.img</initrd>"
        f"<cmdline>console=ttyS0 quiet {KERNEL} picket.node={guest.number}</cmdline></os>"
        # Without a limit the emulator's buffer grows past the guest's own memory.
        "<features><acpi/><tcg><tb-cache unit='MiB'>96</tb-cache></tcg></features><cpu mode='maximum'/>"
        "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>restart</on_crash><devices>"
        f"<emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}{networks}"
        f"<serial type='file'><source path='{console}' append='on'/></serial>{ports}"
        "<watchdog model='i6300esb' action='reset'/><memballoon model='none'/><controller type='usb' model='none'/>"
        f"</devices>{clock}</domain>"
    )
    run("virsh", "-q", "-c", URI, "define", definition)


def empty_disks(guest):
    for disk, mib in DISKS.items():
        with open(OUT / f"{guest.name}.{disk}", "wb") as file:
            file.truncate(mib << 20)


def certificates(folder):
    """An authority, libvirtd's certificate and the fence agents' own."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "client.pem").exists():
        return
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 30, "-subj", "/CN=authority", "-keyout",
        folder / "ca.key", "-out", folder / "ca.pem", "-addext", "keyUsage=critical,keyCertSign")
    for name in ("server", "client"):
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key",
            "-out", folder / f"{name}.csr")
        (folder / f"{name}.ext").write_text(f"subjectAltName=IP:10.77.3.254\nextendedKeyUsage={name}Auth\n")
        run("openssl", "x509", "-req", "-days", 30, "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey",
            folder / "ca.key", "-CAcreateserial", "-out", folder / f"{name}.pem", "-extfile", folder / f"{name}.ext")
    for key in folder.glob("*.key"):
        key.chmod(0o600)
