"""Two QEMU guests without a disk under a libvirtd of our own, and sushy-emulator as the Redfish controller of them.

Everything lies in the namespaces of the group: libvirt's folders are covered by empty ones. Whether a guest runs is
seen at its own process, not by what libvirt says.
"""

import os
import re
import subprocess
from pathlib import Path

from common import check, run, until

VENV = Path(__file__).resolve().parents[1] / "out/venv"
UUIDS = {"g1": "4c4c4544-0051-3510-8052-b4c04f4a3341", "g2": "4c4c4544-0051-3510-8052-b4c04f4a3342"}
FOLDERS = ("/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")
PORT = 8443

QEMU = """user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
dynamic_ownership = 0
remember_owner = 0
"""

GUEST = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><memballoon model='none'/></devices></domain>
"""

EMULATOR = """SUSHY_EMULATOR_AUTH_FILE = '{dir}/users'
SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'
SUSHY_EMULATOR_LISTEN_PORT = {port}
SUSHY_EMULATOR_SSL_CERT = '{dir}/cert.pem'
SUSHY_EMULATOR_SSL_KEY = '{dir}/key.pem'
SUSHY_EMULATOR_LIBVIRT_URI = 'qemu:///system'
SUSHY_EMULATOR_STATE_DIR = '{dir}'
"""


class Guests:
    """Both guests, running."""

    def __init__(self, site):
        self.dir = site.dir / "guests"
        self.dir.mkdir()
        self.started = []
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent"
        for folder in FOLDERS:
            Path(folder).mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "tmpfs", folder, expect=0)
        Path("/run/libvirt").mkdir()
        Path("/var/lib/libvirt/qemu").mkdir()
        Path("/etc/libvirt/qemu.conf").write_text(QEMU)
        Path("/etc/libvirt/libvirtd.conf").write_text('auth_unix_rw = "none"\nunix_sock_group = "root"\n')
        self.start("libvirtd")
        until(lambda: self.virsh("list").returncode == 0, "libvirtd answers")
        for name, uuid in UUIDS.items():
            file = self.dir / f"{name}.xml"
            file.write_text(GUEST.format(name=name, uuid=uuid))
            check(self.virsh("define", file).returncode == 0, "a guest cannot be defined")
            done = self.virsh("start", name)
            check(self.is_on(name), f"{name} does not run: {done.stderr}")
        self.emulate()

    def start(self, *words):
        log = open(self.dir / f"{Path(words[0]).name}.log", "w")
        self.started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def virsh(self, *words):
        return run("virsh", "-q", "-c", "qemu:///system", *words)

    def emulate(self):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
            "-subj", "/CN=bmc", "-keyout", self.dir / "key.pem", "-out", self.dir / "cert.pem", expect=0)
        users = run("htpasswd", "-niB", "picket", stdin="secret\n", expect=0).stdout
        (self.dir / "users").write_text(users)
        (self.dir / "emulator.conf").write_text(EMULATOR.format(dir=self.dir, port=PORT))
        self.start(VENV / "bin/sushy-emulator", "--config", self.dir / "emulator.conf")
        login = ["-u", "picket:secret", "--cacert", self.dir / "cert.pem", "--resolve", f"bmc:{PORT}:127.0.0.1"]
        until(lambda: run("curl", "-sfk", *login, f"https://127.0.0.1:{PORT}/redfish/v1/Systems").returncode == 0,
              "sushy-emulator answers")

    def pin(self):
        shown = run("openssl", "x509", "-in", self.dir / "cert.pem", "-noout", "-fingerprint", "-sha256", expect=0).stdout
        return "sha256:" + re.sub("[^0-9A-F]", "", shown.split("=", 1)[1])

    def pid(self, name):
        """Of its own process, which has a command line until it is dead."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].startswith(b"/usr/bin/qemu-system") and UUIDS[name].encode() in words:
                return int(folder.name)
        return None

    def is_on(self, name):
        return self.pid(name) is not None

    def stop(self):
        for process in self.started:
            process.kill()
            process.wait()


def guests_of(agent, options, name, other):
    """Makes the check of one agent: all that pacemaker-fenced asks of a device."""

    def one(_site, fencer, guests):
        given = {key: value(guests) if callable(value) else value for key, value in options.items()}
        fencer.register(agent, agent, {**given, "pcmk_host_map": f"{name}:{name}", "pcmk_off_retries": "1"})
        fencer.admin("-Q", agent)
        check(agent in fencer.admin("-l", name), f"{agent} is not registered for {name}")
        before = guests.pid(name)
        fencer.admin("-B", name, "-t", "30")
        check(guests.pid(name) not in (None, before), f"reboot {name}")
        fencer.admin("-F", name, "-t", "30")
        check(not guests.is_on(name), f"off {name}")
        fencer.admin("-F", name, "-t", "30")
        fencer.admin("-U", name, "-t", "30")
        check(guests.is_on(name) and guests.is_on(other), f"on {name}")
        # A name that nobody has is not off.
        fencer.register(f"{agent}-wrong", agent, {**given, "pcmk_host_map": "g9:g9", "pcmk_off_timeout": "3",
                                                  "pcmk_off_retries": "1"})
        done = run("stonith_admin", "-F", "g9", "-t", "4")
        check(done.returncode != 0 and guests.is_on(name), "g9 was fenced, which does not exist")
        if "password" in given:
            check(f"={given['password']}" not in fencer.log.read_text(), "the password is in Pacemaker's log")

    one.__doc__ = f"pacemaker-fenced and {agent} with a real guest: monitor, reboot, off, on; an unknown name is not off"
    return one


CHECKS = (
    guests_of("fence_picket_libvirt", {"uri": "qemu:///system"}, "g1", "g2"),
    guests_of("fence_picket_redfish",
              {"ip": "127.0.0.1", "ipport": str(PORT), "username": "picket", "password": "secret",
               "ssl_fingerprint": Guests.pin}, "g2", "g1"),
)
