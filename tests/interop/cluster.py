"""A real cluster of two nodes: corosync and Pacemaker, each node in namespaces of its own, with ipmi_sim as the two
management controllers.

    lab (network namespace)          node1 / node2 (network, process, mount, host name, IPC)
      bridge br0 10.77.0.254  ◄─veth─►  eth0 10.77.0.1 / .2
      bmc1 10.77.0.101, bmc2 .102        init: corosync + pacemakerd

A controller's power is the node's first process: "off" kills it, and with it the kernel kills everything in the node;
"on" starts a new one. So a node that is off is off, whatever it was doing, and a node that was only asked is on.
"""

import os
import signal
import subprocess
from pathlib import Path

from common import LIMIT_S, check, run, until

NODES = ("node1", "node2")
PASSWORD = "s3cret"
# The options are those of fence_ipmilan, which can stand here as well.
AGENT = "fence_picket_ipmi"

COROSYNC = """totem {
 version: 2
 cluster_name: two
 transport: udpu
 token: 1000
}
nodelist {
 node {
  ring0_addr: 10.77.0.1
  name: node1
  nodeid: 1
 }
 node {
  ring0_addr: 10.77.0.2
  name: node2
  nodeid: 2
 }
}
quorum {
 provider: corosync_votequorum
 two_node: 1
 wait_for_all: 0
}
logging {
 to_stderr: no
 to_syslog: no
}
"""

# The configuration that both start with: without it they wait 20 s for each other before they elect. Its versions are
# those of 2.0: Pacemaker takes an older configuration, and stops at a newer one.
CIB = """<cib crm_feature_set="3.0.14" validate-with="pacemaker-3.0" admin_epoch="0" epoch="1" num_updates="0">
 <configuration>
  <crm_config><cluster_property_set id="first">
   <nvpair id="first-dc-deadtime" name="dc-deadtime" value="2s"/>
   <nvpair id="first-policy" name="no-quorum-policy" value="ignore"/>
  </cluster_property_set></crm_config>
  <nodes/><resources/><constraints/>
 </configuration>
 <status/>
</cib>
"""

# What runs as the first process of a node. $1: its name.
INIT = """#!/bin/sh
hostname "$1"
mount -t proc proc /proc
for folder in /run /dev/shm /var/lib/pacemaker /var/lib/corosync /var/log/pacemaker /var/log/picket; do
  mount -t tmpfs -o mode=1777 tmpfs "$folder"
done
mkdir -p /run/crm /run/corosync /var/lib/pacemaker/cores /var/lib/pacemaker/cib /var/lib/pacemaker/pengine
cp DIR/cib.xml /var/lib/pacemaker/cib/cib.xml && chmod 600 /var/lib/pacemaker/cib/cib.xml
chown -R hacluster:haclient /run/crm /var/lib/pacemaker/*
corosync -f -c DIR/corosync.conf >DIR/$1.corosync.log 2>&1 &
until corosync-quorumtool -s >/dev/null 2>&1; do sleep 0.1; done
PCMK_logfile=DIR/$1.log PCMK_logpriority=info pacemakerd >DIR/$1.pacemakerd.log 2>&1 &
# The first process reaps what others leave, until it is killed.
while :; do wait; sleep 0.2; done
"""

# The power of a node. $1: its name. $2: get or set. $4: 1 or 0.
CHASSIS = """#!/bin/sh
exec >>DIR/chassis.log 2>&1
node=$1
alive() { pid=$(cat DIR/$node.pid 2>/dev/null) && grep -qs '^State:[[:space:]]*[^ZX[:space:]]' /proc/$pid/status; }
off() {
  alive || return 0
  echo "$node off" >>DIR/power
  kill -9 "$pid"
}
on() {
  alive && return 0
  echo "$node on" >>DIR/power
  # A new node must not keep the controller's pipe open.
  DIR/power-on $node 3>&-
}
case "$2 $3" in
"get power") { alive && echo power:1 || echo power:0; } >&3 ;;
"set power") if [ "$4" = 1 ]; then on; else [ -e DIR/$node.deaf ] || off; fi ;;
"set reset") [ -e DIR/$node.deaf ] || { off; on; } ;;
esac
"""

POWER_ON = """#!/bin/sh
setsid nsenter --net=DIR/$1.net unshare -m -p -i -u -f DIR/init $1 </dev/null >DIR/$1.init.log 2>&1 &
for try in $(seq 100); do
  # The oldest: a child of its looks the same until it is another program.
  pid=$(pgrep -o -f "^/bin/sh DIR/init $1\\$") && break
  sleep 0.02
done
echo "$pid" >DIR/$1.pid
"""

LAN = """name "{node}"
set_working_mc 0x20
 startlan 1
  addr {address} 623
  priv_limit admin
  allowed_auths_callback none md2 md5 straight
  allowed_auths_user none md2 md5 straight
  allowed_auths_operator none md2 md5 straight
  allowed_auths_admin none md2 md5 straight
  guid a123456789abcdefa123456789abcde{number}
 endlan
 chassis_control "{dir}/chassis-{node}"
 user 2 true "admin" "{password}" admin 10 none md2 md5 straight
"""

EMULATOR = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_enable 0x20
"""


class Cluster:
    """Two nodes, switched on."""

    def __init__(self, site):
        self.dir = site.dir / "two"
        self.dir.mkdir()
        self.bmcs = {}
        self.write("corosync.conf", COROSYNC)
        self.write("cib.xml", CIB)
        self.write("init", INIT, 0o755)
        self.write("power-on", POWER_ON, 0o755)
        self.write("chassis", CHASSIS, 0o755)
        self.network()
        for node in NODES:
            self.start_bmc(node)
            run(self.dir / "power-on", node, expect=0)

    def write(self, name, text, mode=0o644):
        path = self.dir / name
        path.write_text(text.replace("DIR", str(self.dir)))
        path.chmod(mode)

    def network(self):
        run("ip", "link", "add", "br0", "type", "bridge", expect=0)
        run("ip", "link", "set", "br0", "up", expect=0)
        for address in ("10.77.0.254", "10.77.0.101", "10.77.0.102"):
            run("ip", "addr", "add", f"{address}/24", "dev", "br0", expect=0)
        for number, node in enumerate(NODES, 1):
            # A network namespace that outlives what runs in it: bound to a file.
            net = self.dir / f"{node}.net"
            net.touch()
            run("unshare", f"--net={net}", "true", expect=0)
            run("ip", "link", "add", f"to{number}", "type", "veth", "peer", "name", f"at{number}", expect=0)
            holder = subprocess.Popen(["nsenter", f"--net={net}", "sleep", "30"])
            until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "its network")
            run("ip", "link", "set", f"at{number}", "netns", str(holder.pid), expect=0)
            holder.kill()
            holder.wait()
            inside = ["nsenter", f"--net={net}", "ip"]
            run(*inside, "link", "set", "lo", "up", expect=0)
            run(*inside, "link", "set", f"at{number}", "name", "eth0", "up", expect=0)
            run(*inside, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0", expect=0)
            run("ip", "link", "set", f"to{number}", "master", "br0", "up", expect=0)

    def start_bmc(self, node):
        number = NODES.index(node) + 1
        # Its answer goes to the controller, everything else to the log.
        self.write(f"chassis-{node}", f'#!/bin/sh\nexec 3>&1\nDIR/chassis {node} "$@"\n', 0o755)
        self.write(f"{node}.emu", EMULATOR)
        lan = LAN.format(node=node, address=f"10.77.0.10{number}", number=number, dir=self.dir, password=PASSWORD)
        self.write(f"{node}.lan", lan)
        state = self.dir / f"{node}.state"
        state.mkdir(exist_ok=True)
        words = ["ipmi_sim", "-n", "-c", self.dir / f"{node}.lan", "-f", self.dir / f"{node}.emu", "-s", state]
        log = open(self.dir / f"{node}.bmc.log", "w")
        self.bmcs[node] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def pid(self, node):
        return int((self.dir / f"{node}.pid").read_text())

    def is_on(self, node):
        stat = Path(f"/proc/{self.pid(node)}/stat")
        return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] not in "ZX"

    def at(self, node, *words, **more):
        return run("nsenter", "-t", self.pid(node), "-m", "-n", "-p", "-i", "-u", *words, **more)

    def members(self, node):
        shown = self.at(node, "crm_mon", "-1")
        online = [line for line in shown.stdout.splitlines() if "Online:" in line]
        return [name for name in NODES if online and name in online[0]] if shown.returncode == 0 else []

    def wait_for_both(self, seen_by):
        until(lambda: self.members(seen_by) == list(NODES), "both nodes are online", 3 * LIMIT_S)

    def power_events(self, node):
        log = self.dir / "power"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split()[1] for line in lines if line.split()[0] == node]

    def configure(self, node):
        """Each node: a gate, its management controller, a person."""
        resources, levels = [], []
        for number, target in enumerate(NODES, 1):
            bmc = {"ip": f"10.77.0.10{number}", "username": "admin", "password": PASSWORD, "lanplus": "1",
                   "cipher": "3", "pcmk_host_list": target, "pcmk_off_retries": "1", "pcmk_reboot_retries": "1",
                   "pcmk_reboot_timeout": "8s", "pcmk_off_timeout": "8s"}
            resources.append(primitive(f"ipmi{number}", AGENT, bmc))
            levels += [level(number, target, 1, "gate"), level(number, target, 2, f"ipmi{number}"),
                       level(number, target, 3, "person")]
        # Both are active nowhere, so both nodes are standbys: the gate's wait is short here.
        gate = {"hostlist": "node1 node2", "dead_check_target": "10.77.0.250", "dead_check_trialcount": "1",
                "standby_check_command": "false", "standby_wait_time": "1",
                "pcmk_off_retries": "1", "pcmk_reboot_retries": "1"}
        person = {"hostlist": "node1 node2", "spool_dir": "/run/picket-spool", "audit_file": "/run/picket-audit",
                  "heard_check_command": "crm_node -p", "pcmk_reboot_timeout": "50s"}
        resources += [primitive("gate", "fence_picket_stonith_helper", gate),
                      primitive("person", "fence_picket_meatware", person)]
        cib = self.dir / "resources.xml"
        cib.write_text(f"<resources>{''.join(resources)}</resources>")
        self.at(node, "cibadmin", "--replace", "-o", "resources", "-x", cib, expect=0)
        cib.write_text(f"<fencing-topology>{''.join(levels)}</fencing-topology>")
        self.at(node, "cibadmin", "--modify", "-c", "-o", "fencing-topology", "-x", cib, expect=0)
        self.at(node, "crm_attribute", "-n", "stonith-enabled", "-v", "true", expect=0)
        started = lambda: self.at(node, "crm_mon", "-1").stdout.count("Started") >= 4
        until(started, "all fence devices are started (monitored)", 2 * LIMIT_S)

    def hang(self, node):
        """Its cluster engine stops; everything else in it goes on: only a fence ends that."""
        done = self.at(node, "pkill", "-STOP", "-x", "corosync")
        check(done.returncode == 0, f"no corosync in {node}: {done.stderr}")

    def stop(self):
        for node in NODES:
            if self.is_on(node):
                os.kill(self.pid(node), signal.SIGKILL)
        for bmc in self.bmcs.values():
            bmc.kill()
            bmc.wait()

    def logs(self):
        lines = []
        for node in NODES:
            path = self.dir / f"{node}.log"
            wanted = [line for line in path.read_text().splitlines() if "fence" in line] if path.exists() else []
            lines += [f"{node}: {line[-230:]}" for line in wanted[-12:]]
        return "\n".join(lines)


def primitive(name, agent, options):
    pairs = "".join(f'<nvpair id="{name}-{key}" name="{key}" value="{value}"/>' for key, value in options.items())
    return (f'<primitive id="{name}" class="stonith" type="{agent}">'
            f'<instance_attributes id="{name}-options">{pairs}</instance_attributes>'
            f'<operations><op id="{name}-monitor" name="monitor" interval="60s" timeout="20s"/></operations></primitive>')


def level(number, target, index, devices):
    return f'<fencing-level id="level-{number}-{index}" target="{target}" index="{index}" devices="{devices}"/>'


def forms(two):
    """two nodes of corosync and Pacemaker come up, with a gate, a management controller and a person for each"""
    two.wait_for_both("node1")
    two.configure("node1")


def hung_node(two):
    """a node that hangs is fenced by the other: gate, then controller; off, seen off, on; it comes back"""
    before = two.pid("node2")
    two.hang("node2")
    until(lambda: two.power_events("node2") == ["off", "on"], "node2 is powered off and on", 2 * LIMIT_S)
    check(two.power_events("node1") == [], "node1 was fenced too")
    check(not Path(f"/proc/{before}").exists() or not running(before), "the old node2 still runs")
    two.wait_for_both("node1")
    history = two.at("node1", "stonith_admin", "-H", "node2", expect=0).stdout
    check("reboot" in history and "node2" in history, history)


def ordered(two):
    """what an operator orders by stonith_admin goes through our IPMI agent: state, off (and it stays off), on"""
    two.at("node1", "stonith_admin", "-Q", "ipmi2", expect=0)
    status = ["fence_picket_ipmi", "-a", "10.77.0.102", "-l", "admin", "-p", PASSWORD, "-C", "3", "-o", "status"]
    check("Status: ON" in two.at("node1", *status, expect=0).stdout, "the status is not ON")
    before = two.power_events("node2")
    two.at("node1", "stonith_admin", "-F", "node2", "-t", "30", expect=0)
    check(not two.is_on("node2") and two.power_events("node2") == [*before, "off"], "off node2")
    check("Status: OFF" in two.at("node1", *status, expect=2).stdout, "the status is not OFF")
    two.at("node1", "stonith_admin", "-U", "node2", "-t", "30", expect=0)
    check(two.is_on("node2") and two.power_events("node2") == [*before, "off", "on"], "on node2")
    two.wait_for_both("node1")


def pending(two):
    """node2 hangs, its controller accepts and does nothing: where a person at node1 is asked."""
    before = two.power_events("node2")
    two.hang("node2")
    request = Path(f"/proc/{two.pid('node1')}/root/run/picket-spool/node2.request")
    until(request.exists, "a request to the operator at node1", 2 * LIMIT_S)
    check(two.is_on("node2") and two.power_events("node2") == before, "node2 went off by itself")
    check("UNCLEAN" in two.at("node1", "crm_mon", "-1").stdout, "node2 counted as fenced before anybody said so")
    return request


def counts_as_fenced(two):
    until(lambda: "OFFLINE: [ node2 ]" in two.at("node1", "crm_mon", "-1").stdout, "node2 counts as fenced")
    check(two.power_events("node1") == [], "node1 was fenced too")


def deaf_controller(two):
    """a controller that accepts and does nothing is no success: a person is asked, and only the challenge counts"""
    (two.dir / "node2.deaf").touch()
    fields = dict(line.split("=", 1) for line in pending(two).read_text().splitlines() if "=" in line)
    words = ["meatclient", "-c", "node2", "--spool-dir", "/run/picket-spool"]
    check(two.at("node1", *words, stdin="yes\n").returncode != 0, "yes was taken")
    check("UNCLEAN" in two.at("node1", "crm_mon", "-1").stdout, "node2 counted as fenced by a yes")
    os.kill(two.pid("node2"), signal.SIGKILL)
    two.at("node1", *words, stdin=fields["challenge"] + "\n", expect=0)
    counts_as_fenced(two)


def confirmed(two):
    """beside a person who is asked, stonith_admin --confirm counts as well"""
    run(two.dir / "power-on", "node2", expect=0)
    two.wait_for_both("node1")
    pending(two)
    os.kill(two.pid("node2"), signal.SIGKILL)
    two.at("node1", "stonith_admin", "--confirm", "node2", expect=0)
    counts_as_fenced(two)
    told = (two.dir / "node1.log").read_text()
    check("targeting node2 by a human" in told, "not marked as a person's word")
    (two.dir / "node2.deaf").unlink()


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


CHECKS = (forms, hung_node, ordered, deaf_controller, confirmed)
