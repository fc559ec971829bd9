"""A fence device that says "off" of a machine that runs: it is the plug of another one, which is off.

Outside the invariant (docs/SAFETY.md, assumptions): both can be Primary. What still holds: it is told before it is needed; the
successor cuts the replication before it is promoted, so that DRBD suspends the former holder, which acknowledges nothing
more; its boot is refused for ever; and where it can, it ends itself with its lease.
"""

from cluster import LONG_S
from rig import OUT, SPARE, check, until
from scenarios import calm, other, story

# It lives on to the end of its lease; until then what keeps it from writing is DRBD's barrier alone.
LIVES_ON = " ".join((
    r"""-e 's/^loss_action.*/loss_action = "freeze"/' -e 's/^kind = "device"/kind = "none"/'""",
    r"""-e '/^device = /d' -e '/^effective = /d' -e '/^timeout = "9s"/d'""",
))
PREPARE = " ".join((
    "sed -i",
    f"""-e 's/port = "n[12]"/port = "{SPARE}"/'""",
    r"""-e 's/^\[node\]/[node]\nfence_test_interval = "30s"/'""",
    LIVES_ON,
    "/etc/picket/n?.toml",
))


def boot(cluster, number):
    """As the observer there tells it; by the other port nobody answers in a machine that is about to end."""
    seen = [line.split()[1] for _, line in list(cluster.machines[number].news) if line.startswith("seen ")]
    return seen[-1] if seen else None


def no_more_writes(cluster, one, two):
    """From the other's first acknowledged write on, the former holder acknowledges none."""
    cluster.writes(two)
    first = min(when for when, line in cluster.machines[two].news if line.startswith("ack "))
    late = [line for when, line in cluster.machines[one].news if line.startswith("ack ") and when > first]
    check(not late, f"n{one} acknowledged after n{two} was active: {late[:1]}")


def fence_lies(cluster):
    """The holder is cut off from the witness and the other's heartbeats, not from the replication."""
    cluster.machines.spare()
    one = cluster.fresh(PREPARE)
    two = other(one)

    def is_told():
        said = cluster.machines[two].ask("picket status -1", LONG_S, expect=None)[1]
        return next((line for line in said.splitlines() if "CANNOT_FENCE" in line and "plug of another machine" in line), None)

    print(f"   n{two} says: {until(is_told, 'the wrong plug is told before it is needed', LONG_S, 1).strip()}", flush=True)
    running = boot(cluster, one)
    for link in ("beat", "serve"):
        cluster.machines.cut(link, one)
    check(cluster.active([two]) == two, "the other is active, on the device's word")
    check(cluster.machines[one].state() == "running" and boot(cluster, one) == running, "the former holder was never off")
    cluster.machines.mend("serve")

    def is_over():
        told = (OUT / "witness.log").read_text(errors="replace").splitlines()
        refused = next((line for line in told if f"n{one} refused: STALE_BOOT: boot {running}" in line), None)
        return refused or (boot(cluster, one) != running and "that boot has ended itself before it came to the witness")

    print(f"   {until(is_over, 'the boot that was called off is refused', LONG_S, 0.2)}", flush=True)
    check("CONFIRMED_OFF" in cluster.fences(two), "the device has called it off")
    no_more_writes(cluster, one, two)
    calm(cluster, two, 1)
    until(lambda: boot(cluster, one) not in (None, running), "it ends itself with its lease", LONG_S, 0.5)
    cluster.machines.heal()
    cluster.machines[one].on()
    reconnected(cluster, two)
    cluster.in_sync()
    check(cluster.role(one) == "Secondary", "the former holder is back as a standby")
    suspended_for_good(cluster, one, running)
    calm(cluster, two, 1)


def reconnected(cluster, two):
    """Two Primaries have met: DRBD refuses that, and gives the replication up on one side. Where that is the holder, a person
    connects it again."""
    seen = until(lambda: next((word for word in ("Connected", "StandAlone") if cluster.drbd(two, "cstate") == word), None),
                 "the replication is back, or given up", LONG_S, 1)
    if seen == "StandAlone":
        def is_told():
            said = cluster.machines[two].ask("picket status -1", LONG_S, expect=None)[1]
            return next((line for line in said.splitlines() if "GAP" in line and "StandAlone" in line), None)

        print(f"   n{two} says: {until(is_told, 'the status says that the replication is off', LONG_S, 1).strip()}", flush=True)
        cluster.machines[two].ask("drbdadm connect r0", LONG_S)


def suspended_for_good(cluster, one, running):
    """The kernel of the former holder was suspended in that boot, and not writable again after that."""
    words = [line.split()[2] for _, line in cluster.machines[one].news if line.startswith(f"seen {running} ")]
    check("suspended" in words, "its kernel suspended it")
    check("writable" not in words[words.index("suspended"):], "and it stayed so")


STORIES = {"fence-lies": fence_lies}
SCENARIOS = {name: story(play) for name, play in STORIES.items()}
