"""The guide of a DRBD volume with a file system and an address above it, run from its own blocks.

Every block of docs/guides/drbd.md that a reader is to run or to write into a file is taken as it stands; only what is the
reader's own (addresses, the disk, the mount point) is this rig's. A block more or less in the guide fails this story.
"""

import re

from cluster import ADDED, LONG_S, node_file
from rig import HERE, check, until
from scenarios import calm, other, story

GUIDE = HERE.parent.parent / "docs" / "guides" / "drbd.md"

# In the guide's order.
BLOCKS = ("sh install", "text hosts", "sh metadata", "sh first", "sh filesystem", "toml volume", "sh check", "toml above", "sh move")

# What is the reader's own: the guide's word, ours.
OURS = (
    ("10.0.0.1:", "10.77.1.1:"),
    ("10.0.0.2:", "10.77.1.2:"),
    ("10.0.0.100", "10.77.3.100"),
    ("/dev/vdb", "/dev/vda"),
    ("/srv/data", "/mnt/data"),
)

# Where a guest differs from an installed Debian: DRBD's programs are in /sbin; the installation has been done.
DEBIAN = """
ln -sf /sbin/drbdadm /sbin/drbdsetup /usr/sbin/
mkdir -p /tmp/source/target/dist /mnt/data
mv /usr/sbin/picket-drbd-* /tmp/source/target/dist/
"""


def blocks():
    """The guide's blocks by their names here."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    languages = [language for language, _ in found]
    check(languages == [name.split()[0] for name in BLOCKS], f"the guide has other blocks than this story: {languages}")
    said = {}
    for name, (_, text) in zip(BLOCKS, found):
        for theirs, ours in OURS:
            text = text.replace(theirs, ours)
        said[name.split()[1]] = text
    return said


def put(guest, path, text):
    guest.ask(f"cat >{path} <<'END'\n{text}\nEND", LONG_S)


def resource(guest, hosts):
    """The hosts' sections come into what `picket config drbd` printed, and timeouts that bear emulation."""
    lines = guest.ask("cat /etc/drbd.d/r0.res", LONG_S)
    lines = lines.replace("resource r0 {\n", "resource r0 {\n" + "\n".join(re.findall(r"^  on .*$", hosts, re.M)) + "\n", 1)
    for section in ("net", "disk"):
        lines = lines.replace(f"{section} {{\n", f"{section} {{{ADDED[section]}\n", 1)
    put(guest, "/etc/drbd.d/r0.res", lines)


def unhurried(above):
    """An agent starts dozens of programs, each of which takes a second where the emulation is starved."""
    given = re.findall(r"^stop_timeout = .*$", above, re.M)
    check(len(given) == 2, f"the guide gives stop timeouts to both resources: {given}")
    return re.sub(r"^stop_timeout = .*$", 'stop_timeout = "120s"\nmonitor_timeout = "120s"', above, flags=re.M)


def checked(said):
    """`picket config check` is content with the guide's blocks. That this is a virtual machine is the rig's own."""
    told = [line for line in said.splitlines() if "a virtual machine (" not in line]
    check(len(told) == 1 and told[0].endswith("no errors (picketd)"), f"the configuration is not plainly right: {told}")
    print(f"   {told[0]}", flush=True)


def has_address(cluster, number):
    return "10.77.3.100/24" in cluster.machines[number].ask("ip -o -4 addr show dev serve", LONG_S)


def address_is_at(cluster, number):
    """Once, and there."""
    until(lambda: has_address(cluster, number), f"n{number} has the address", LONG_S, 1)
    check(not has_address(cluster, other(number)), f"n{other(number)} has the address too")


def guide(cluster):
    said = blocks()
    cluster.blank()
    for number in (1, 2):
        guest = cluster.machines[number]
        guest.ask(DEBIAN, LONG_S)
        guest.ask("set -e; rm /etc/drbd.d/r0.res; cd /tmp/source\n" + said["install"], LONG_S)
        resource(guest, said["hosts"])
        guest.ask("set -e\n" + said["metadata"], LONG_S)
    cluster.connected()
    for step in ("first", "filesystem"):
        cluster.machines[1].ask("set -e\n" + said[step], LONG_S)
    for number in (1, 2):
        guest = cluster.machines[number]
        put(guest, "/etc/picket/picketd.toml", node_file(number, other(number), said["volume"] + "\n" + said["above"]))
        checked(guest.ask(said["check"], LONG_S))
        slow = node_file(number, other(number), said["volume"] + "\n" + unhurried(said["above"]))
        put(guest, f"/etc/picket/n{number}.toml", slow)
    cluster.daemons()
    one = cluster.active()
    two = other(one)
    # The writer waits for a folder of its own on the file system.
    mounted = "grep -q '^/dev/drbd0 /mnt/data ext4 ' /proc/mounts"
    until(lambda: cluster.machines[one].ask(mounted, LONG_S, expect=None)[0] == 0, "it is mounted", LONG_S, 1)
    cluster.machines[one].ask("mkdir /mnt/data/acked", LONG_S)
    cluster.writes(one)
    cluster.in_sync()
    address_is_at(cluster, one)
    print(cluster.machines[one].ask(said["move"].replace("n2", f"n{two}"), LONG_S), flush=True)
    check(cluster.active([two]) == two, "it has moved")
    cluster.writes(two)
    address_is_at(cluster, two)
    cluster.in_sync()
    calm(cluster, two, 1)
    cluster.machines[two].destroy()
    check(cluster.active([one]) == one, "it is back")
    cluster.writes(one)
    until(lambda: has_address(cluster, one), "the address is back", LONG_S, 1)
    calm(cluster, one, 2)


SCENARIOS = {"guide": story(guide)}
