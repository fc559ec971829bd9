#!/usr/bin/env python3
"""Our agents under the programs that they were made for: the schema of fence-agents, cluster-glue's
stonith, and a real pacemaker-fenced.

Everything happens in namespaces of its own (mounts, network, processes, IPC): /usr/sbin and the plugin
folder are covered by an overlay that holds our links, /run, /dev/shm and Pacemaker's folders by empty
ones. Nothing outside is touched, and what is left running ends with the namespace.

The machines that are fenced are real processes. A stand-in for Xen's `xl` (there is no hypervisor
here) lists and destroys them; the agent above it is the real one.

    tests/interop/run.py PICKET_FENCE [GROUP…]     the built program; site, fencer, guests, two: only these checks

The groups share nothing, and run side by side: they mostly wait for the timers of others.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cluster
import guests
from common import LIMIT_S, Failure, check, run, until

NEEDS = {
    "fence-agents": "/usr/share/cluster/relaxng/metadata.rng",
    "cluster-glue": "/usr/sbin/stonith",
    "pacemaker": "/usr/lib/pacemaker/pacemaker-fenced",
    "corosync": "/usr/sbin/corosync",
    "pacemaker-cli-utils": "/usr/sbin/stonith_admin",
    "libxml2-utils": "/usr/bin/xmllint",
    "openipmi": "/usr/bin/ipmi_sim",
    "ipmitool": "/usr/bin/ipmitool",
    "procps": "/usr/bin/pkill",
    "iputils-ping": "/usr/bin/ping",
    "libvirt-daemon-system": "/usr/sbin/libvirtd",
    "qemu-system-x86": "/usr/bin/qemu-system-x86_64",
    "sushy-tools": guests.VENV / "bin/sushy-emulator",
}
PLUGINS = "/usr/lib/stonith/plugins/external"
INSIDE = "PICKET_INTEROP_INSIDE"
XL = r"""#!/bin/sh
# A stand-in for xl: a domain is the process whose number is in DIR/domains/NAME.
cd DIR/domains || exit 1
case $1 in
list)
  [ -e ../broken ] && exit 0
  printf 'Name ID Mem VCPUs State Time(s)\nDomain-0 0 4096 4 r----- 1.0\n'
  for name in *; do
    [ "$name" = '*' ] && continue
    # A process that nobody has reaped yet runs no more.
    grep -qs '^State:[[:space:]]*[^Z[:space:]]' "/proc/$(cat "$name")/status" && echo "$name 7 512 1 -b---- 1.0"
  done
  exit 0 ;;
destroy) [ -e ../deaf ] || kill -9 "$(cat "$2")" ;;
create)
  name=$(sed -n 's/^name = "\(.*\)"/\1/p' "$2")
  sleep 1000 >/dev/null 2>&1 </dev/null &
  echo $! >"$name" ;;
*) exit 1 ;;
esac
"""


class Site:
    """The covered folders, the stand-in hypervisor and its machines."""

    def __init__(self, program):
        self.dir = Path(tempfile.mkdtemp(prefix="picket-interop-"))
        self.program = program
        (self.dir / "domains").mkdir()
        (self.dir / "cfg").mkdir()
        for name in ("n1", "n2"):
            (self.dir / "cfg" / f"{name}.cfg").write_text(f'name = "{name}"\n')
        xl = self.dir / "xl"
        xl.write_text(XL.replace("DIR", str(self.dir)))
        xl.chmod(0o755)
        self.cover()

    def cover(self):
        run("mount", "--make-rprivate", "/", expect=0)
        layers = Path("/tmp/picket-interop-layers")
        layers.mkdir(exist_ok=True)
        # An overlay's upper layer cannot lie on an overlay, which the root may be.
        run("mount", "-t", "tmpfs", "tmpfs", layers, expect=0)
        for number, folder in enumerate(["/usr/sbin", PLUGINS]):
            upper, work = layers / f"u{number}", layers / f"w{number}"
            upper.mkdir(), work.mkdir()
            run("mount", "-t", "overlay", "overlay", "-o",
                f"lowerdir={folder},upperdir={upper},workdir={work}", folder, expect=0)
        for folder in ("/run", "/dev/shm", "/var/lib/pacemaker", "/var/lib/corosync", "/var/log/pacemaker", "/var/log/picket"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", folder, expect=0)
        for folder in ("/run/crm", "/var/lib/pacemaker/cores", "/var/lib/pacemaker/cib"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            run("chown", "hacluster:haclient", folder)
        run("ip", "link", "set", "lo", "up")
        # cluster-glue has a meatclient of its own, which ours never overwrites.
        check(run(self.program, "link", "/usr/sbin").returncode == 1, "a foreign meatclient was overwritten")
        Path("/usr/sbin/meatclient").unlink()
        run(self.program, "link", "/usr/sbin", PLUGINS, expect=0)

    def options(self, hosts="n1 n2"):
        return {"xl_path": self.dir / "xl", "config_dir": self.dir / "cfg", "hostlist": hosts}

    def start(self, name):
        run(self.dir / "xl", "create", self.dir / "cfg" / f"{name}.cfg", expect=0)

    def pid(self, name):
        return int((self.dir / "domains" / name).read_text())

    def is_on(self, name):
        stat = Path(f"/proc/{self.pid(name)}/stat")
        # A process that nobody has reaped yet runs no more.
        return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"

    def agents(self):
        listed = run(self.program, "list", expect=0).stdout
        return [line.split()[1] for line in listed.splitlines()]


# The agents whose place ours take: a Pacemaker resource changes by its type alone.
REPLACED = {"fence_ipmilan": "ipmi", "fence_redfish": "redfish", "fence_virsh": "libvirt", "fence_xenapi": "xen"}
PAGES = Path(__file__).resolve().parents[2] / "docs" / "agents"


# --- the checks


def schema(site):
    """the metadata of every agent validates against the schema of fence-agents"""
    agents = site.agents()
    check(len(agents) >= 4, f"only {agents}")
    for agent in agents:
        file = site.dir / f"{agent}.xml"
        file.write_text(run(f"/usr/sbin/{agent}", "-o", "metadata", expect=0).stdout)
        run("xmllint", "--noout", "--relaxng", NEEDS["fence-agents"], file, expect=0)
    return f"{len(agents)} agents"


def options_of_others(site):
    """every option of the agents that ours replace is taken by ours, or its page says what becomes of it"""
    listed = (PAGES / "coming-from.md").read_text()
    for theirs, device in REPLACED.items():
        named = {agent: re.findall(r'<parameter name="([^"]+)"', run(agent, "-o", "metadata", expect=0).stdout)
                 for agent in (theirs, f"fence_picket_{device}")}
        page = (PAGES / f"{device}.md").read_text()
        taken = {name.replace("-", "_") for name in named[f"fence_picket_{device}"]}
        silent = [name for name in named[theirs] if name.replace("-", "_") not in taken and f"`{name}`" not in page]
        check(not silent, f"{device}.md says nothing of {theirs}'s {' '.join(silent)}")
        check(f"`{theirs}`" in listed, f"coming-from.md does not name {theirs}")
    return f"{len(REPLACED)} agents"


def manual_pages(site):
    """man shows every manual page without a complaint"""
    for agent in site.agents():
        page = run(f"/usr/sbin/{agent}", "-o", "manpage", expect=0).stdout
        done = run("groff", "-man", "-Tutf8", "-ww", "-z", stdin=page, expect=0)
        check(not done.stderr, f"{agent}: {done.stderr}")


def glue(site):
    """cluster-glue's stonith calls our plugins"""
    listed = run("stonith", "-L", expect=0).stdout.split()
    for agent in site.agents():
        plugin = "external/picket-" + agent.removeprefix("fence_picket_").replace("_", "-")
        check(plugin in listed, f"{plugin} is not in stonith -L")
        check("<parameters>" in run("stonith", "-t", plugin, "-m", expect=0).stdout, f"{plugin}: no meta-data")
    names = run("stonith", "-t", "external/picket-process", "-n", expect=0).stdout
    check("socket_path" in names, names)
    site.start("n1"), site.start("n2")
    given = ["-t", "external/picket-xen"] + [f"{name}={value}" for name, value in site.options("n1,n2").items()]
    check(run("stonith", *given, "-lS", expect=0).stdout.count("n1") == 1, "-l does not show n1")
    run("stonith", *given, "-T", "off", "n1", expect=0)
    check(not site.is_on("n1") and site.is_on("n2"), "off n1")
    run("stonith", *given, "-T", "on", "n1", expect=0)
    check(site.is_on("n1"), "on n1")
    before = site.pid("n1")
    run("stonith", *given, "-T", "reset", "n1", expect=0)
    check(site.is_on("n1") and site.pid("n1") != before, "reset n1")
    (site.dir / "deaf").touch()
    refused = run("stonith", *given, "power_timeout=1", "-T", "reset", "n1")
    check(refused.returncode != 0 and site.is_on("n1"), "a destroy that does nothing is a reset")
    (site.dir / "deaf").unlink()
    gate = ["-t", "external/picket-stonith-helper", "hostlist=n1", "run_dead_check=no", "run_standby_wait=no"]
    run("stonith", *gate, "-S", expect=0)
    check(run("stonith", *gate, "-T", "reset", "n1").returncode != 0, "a gate says that it reset n1")


COROSYNC = """totem {
 version: 2
 cluster_name: interop
 transport: udpu
}
nodelist {
 node {
  ring0_addr: 127.0.0.1
  name: here
  nodeid: 1
 }
}
quorum {
 provider: corosync_votequorum
 expected_votes: 1
}
logging {
 to_stderr: no
 to_syslog: no
}
"""


class Fencer:
    """A pacemaker-fenced in a cluster of one node: alone it would not follow a topology."""

    def __init__(self, site):
        self.site = site
        config = site.dir / "corosync.conf"
        config.write_text(COROSYNC)
        Path("/run/corosync").mkdir(exist_ok=True)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.corosync = subprocess.Popen(["corosync", "-f", "-c", config], **quiet)
        until(lambda: run("corosync-quorumtool", "-s").returncode == 0, "corosync has quorum")
        self.log = site.dir / "fenced.log"
        self.process = subprocess.Popen(
            ["/usr/lib/pacemaker/pacemaker-fenced", "-c", "-V", "-l", str(self.log)], **quiet)
        until(lambda: run("stonith_admin", "-L").returncode == 0, "pacemaker-fenced answers")

    def admin(self, *words, expect=0):
        done = run("stonith_admin", "-V", *words, expect=expect)
        return done.stdout + done.stderr

    def register(self, name, agent, options):
        pairs = [word for pair in options.items() for word in ("-o", "=".join(map(str, pair)))]
        self.admin("-R", name, "-a", agent, *pairs)

    def stop(self):
        for process in (self.process, self.corosync):
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


def pacemaker(site, fencer):
    """pacemaker-fenced: metadata, register, monitor, list, status, off, on, reboot"""
    installed = fencer.admin("-I")
    for agent in site.agents():
        check(agent in installed, f"{agent} is not in stonith_admin -I")
        check(f'name="{agent}"' in fencer.admin("-M", "-a", agent), f"no metadata of {agent}")
    site.start("n1"), site.start("n2")
    fencer.register("xen", "fence_picket_xen", site.options())
    check("xen" in fencer.admin("-L") and "xen" in fencer.admin("-l", "n1"), "not registered for n1")
    fencer.admin("-Q", "xen")
    fencer.admin("-F", "n1", "-t", "20")
    check(not site.is_on("n1") and site.is_on("n2"), "off n1")
    fencer.admin("-U", "n1", "-t", "20")
    check(site.is_on("n1"), "on n1")
    before = site.pid("n1")
    fencer.admin("-B", "n1", "-t", "20")
    check(site.is_on("n1") and site.pid("n1") != before, "reboot n1")
    check("n1" in fencer.admin("-H", "n1"), "no history")


def pacemaker_failures(site, fencer):
    """a device that does nothing, and a list that is none, are failures for Pacemaker"""
    for fault in ("deaf", "broken"):
        (site.dir / fault).touch()
        done = run("stonith_admin", "-F", "n1", "-t", "4")
        check(done.returncode != 0 and site.is_on("n1"), f"{fault}: stonith_admin says that n1 is off")
        (site.dir / fault).unlink()


def topology(site, fencer):
    """stonith-helper, then xen; and with xen deaf, meatware with its confirmation"""
    gate = {"hostlist": "n1 n2", "run_dead_check": "no", "standby_check_command": "false",
            "standby_wait_time": "1", "run_online_check": "no", "pcmk_off_retries": "1"}
    # Under Pacemaker its timeout is the only one: without this a deaf device would have it all.
    fencer.register("xen", "fence_picket_xen",
                    {**site.options(), "pcmk_off_timeout": "4", "pcmk_off_retries": "1"})
    fencer.register("helper", "fence_picket_stonith_helper", gate)
    spool, audit = site.dir / "spool", site.dir / "audit"
    fencer.register("person", "fence_picket_meatware",
                    {"hostlist": "n1 n2", "spool_dir": spool, "audit_file": audit})
    for level, device in enumerate(("helper", "xen", "person"), 1):
        fencer.admin("-r", "n1", "-i", str(level), "-v", device)
    began = time.monotonic()
    fencer.admin("-F", "n1", "-t", "30")
    check(not site.is_on("n1"), "the second level did not fence n1")
    check(time.monotonic() - began >= 1, "the standby did not wait")
    check(fencer.log.read_text().count("DELAY 1s") >= 1, "the gate did not say why")
    fencer.admin("-U", "n1", "-t", "30")

    (site.dir / "deaf").touch()
    fencing = subprocess.Popen(["stonith_admin", "-F", "n1", "-t", "60"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    request = spool / "n1.request"
    until(request.exists, "a request to the operator")
    wrong = run("meatclient", "-c", "n2", "--spool-dir", spool, stdin="XXXXXX\n")
    check(wrong.returncode != 0, "a request for n2 was confirmed")
    challenge = re.search(r"^challenge=(.*)$", request.read_text(), re.M).group(1)
    check(run("meatclient", "-c", "n1", "--spool-dir", spool, stdin="yes\n").returncode != 0, "yes was taken")
    check(fencing.poll() is None, "it ended without a confirmation")
    os.kill(site.pid("n1"), signal.SIGKILL)
    run("meatclient", "-c", "n1", "--spool-dir", spool, stdin=f"{challenge}\n", expect=0)
    check(fencing.wait(LIMIT_S) == 0, "the confirmed fence failed")
    check("event=confirmed node=n1" in audit.read_text(), "no audit")
    (site.dir / "deaf").unlink()


def confirm(site, fencer):
    """stonith_admin --confirm is a person's word, beside all agents"""
    fencer.admin("--confirm", "n1")
    check("n1" in fencer.admin("-H", "n1"), "no history")


class Rig:
    """What the checks share, made when the first one needs it."""

    def __init__(self, program):
        self.site = Site(program)
        self.fencer = None
        self.guests = None
        self.two = None

    def given(self, group):
        if group == "site":
            return (self.site,)
        if group in ("fencer", "guests"):
            self.fencer = self.fencer or Fencer(self.site)
        if group == "fencer":
            return (self.site, self.fencer)
        if group == "guests":
            self.guests = self.guests or guests.Guests(self.site)
            return (self.site, self.fencer, self.guests)
        self.two = self.two or cluster.Cluster(self.site)
        return (self.two,)

    def logs(self, group):
        if group in ("fencer", "guests") and self.fencer and self.fencer.log.exists():
            return "\n".join(self.fencer.log.read_text().splitlines()[-25:])
        return self.two.logs() if group == "two" and self.two else ""

    def stop(self):
        for part in (self.fencer, self.guests, self.two):
            if part:
                part.stop()
        shutil.rmtree(self.site.dir, ignore_errors=True)


CHECKS = {
    "site": (schema, options_of_others, manual_pages, glue),
    "fencer": (pacemaker, pacemaker_failures, topology, confirm),
    "guests": guests.CHECKS,
    "two": cluster.CHECKS,
}


def inside(program, group):
    """The checks of one group, in the namespaces that were made for it."""
    rig, failed = Rig(program), 0
    try:
        for one in CHECKS[group]:
            began = time.monotonic()
            try:
                one(*rig.given(group))
                print(f"   ok      {one.__doc__} ({time.monotonic() - began:.1f} s)", flush=True)
            except (Failure, OSError, subprocess.SubprocessError) as error:
                failed += 1
                print(f"   FAILED  {one.__doc__}\n{error}\n{rig.logs(group)}", flush=True)
    finally:
        rig.stop()
    return 1 if failed else 0


def outside(program, groups):
    """One process for each group, in namespaces of its own; what it says is shown when it has ended."""
    unshare = ["unshare", "-m", "-n", "-p", "-i", "-f", "--mount-proc", "--kill-child"]
    # The first process reaps what others leave; Python would not.
    words = [*unshare, "sh", "-c", '"$@"; exit $?', "sh", sys.executable, __file__, program]
    running = {
        group: subprocess.Popen([*words, group], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, env={**os.environ, INSIDE: "1"})
        for group in groups
    }
    failed = 0
    for group, process in running.items():
        said, _ = process.communicate()
        print(f"  {group}:\n{said}", end="", flush=True)
        failed |= process.returncode
    return 1 if failed else 0


def main():
    program, groups = Path(sys.argv[1]).resolve(), sys.argv[2:] or list(CHECKS)
    if os.environ.get(INSIDE):
        return inside(program, groups[0])
    missing = [package for package, file in NEEDS.items() if not Path(file).exists()]
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        print(f"LEFT OUT: interop needs {' '.join(missing)}")
        return 1 if os.environ.get("PICKET_CI") == "1" else 0
    return outside(program, groups)


if __name__ == "__main__":
    sys.exit(main())
