"""What DRBD forgets of its data's past and the node remembers, and data that is not what it was.

DRBD 8.4 keeps the current UUID, a bitmap UUID and two former ones. A resync brings two; so after a few of them, of a replica
that nobody may take in meanwhile, the kernel does not name the recorded generation any more, from which its data descends.
"""

import re
import shutil

from cluster import LONG_S
from rig import OUT, check, until
from scenarios import calm, other, stays_silent, story

ROUNDS_MAX = 5  # two are enough for the two places of the history, both filled by a resync
LINEAGE = "/var/lib/picket/state/drbd-lineage-1"
KEPT = "/var/lib/picket/lineage-kept"


def uuids(cluster, number):
    """Current, bitmap, history, as the kernel names them; without the bit that tells the role."""
    found = re.findall(r"^([0-9A-F]{16}):([0-9A-F]{16}):([0-9A-F]{16}):([0-9A-F]{16}):", cluster.drbd(number, "get-gi"))
    check(len(found) == 1, f"n{number}: no generation")
    return [int(uuid, 16) & ~1 for uuid in found[0]]


def restart(cluster, number):
    """Another daemon takes up what this one leaves running; orderly, since an emulated machine starts none within a pet."""
    before = cluster.machines[number].ask("pidof picketd", LONG_S)
    cluster.machines[number].ask("picket stop --keep-running", LONG_S)

    def holds():
        now = cluster.machines[number].ask("pidof picketd; true", LONG_S)
        return now not in ("", before) and cluster.holds(number, above=0)

    until(holds, f"the new daemon of n{number} holds the volume", LONG_S, 0.5)
    # With it nobody is fenced, and nothing is started.
    cluster.machines[number].ask(f"picket maintenance n{number} end", LONG_S)


def take_out(cluster, one):
    """The replication is cut, and the other replica is out of the in-sync set. The generation that is recorded with it: the
    last one that both have."""
    both, *_ = uuids(cluster, one)
    cluster.machines.cut("repl")
    until(lambda: cluster.isr(one) == {f"n{one}"}, "the standby is taken out", LONG_S, 1)
    cluster.writes(one)
    current, bitmap, *_ = until(lambda: new_uuids(cluster, one, both), "a new generation", LONG_S, 0.5)
    check(bitmap == both, f"the new generation {current:016X} follows {both:016X}, not {bitmap:016X}")
    return both


def new_uuids(cluster, number, before):
    seen = uuids(cluster, number)
    return seen if seen[0] != before else None


def resynced_unseen(cluster, one):
    """DRBD brings the other replica in sync, which the witness does not hear and so does not take in; then it is lost again,
    and the holder makes another generation, of which nothing is recorded."""
    before, *_ = uuids(cluster, one)
    cluster.machines.mend("repl")
    until(lambda: cluster.drbd(one, "dstate") == "UpToDate/UpToDate", "DRBD has it in sync", LONG_S, 0.5)
    check(cluster.isr(one) == {f"n{one}"}, "nobody who is not heard is taken in")
    restart(cluster, one)
    cluster.machines.cut("repl")
    seen = until(lambda: new_uuids(cluster, one, before), "a new generation", LONG_S, 0.5)
    cluster.writes(one)
    return seen


def forgets(cluster, one, recorded):
    """Until the kernel does not name what is recorded."""
    for turn in range(1, ROUNDS_MAX + 1):
        named = resynced_unseen(cluster, one)
        print(f"   after {turn}: {' '.join(f'{uuid:016X}' for uuid in named)}; recorded {recorded:016X}", flush=True)
        if recorded not in uuids(cluster, one):
            return
    check(False, f"after {ROUNDS_MAX} resyncs the kernel still names {recorded:016X}")


def forgotten(cluster):
    """The holder's data descends from what is recorded, and only the node remembers that: it is believed over restarts and a
    boot, a daemon without that record is not, and a replica that was left behind counts for nothing."""
    one = cluster.fresh()
    two = other(one)
    recorded = take_out(cluster, one)
    # From now on nobody hears the standby but DRBD: it can be resynced, and not be taken in.
    for link in ("serve", "beat"):
        cluster.machines.cut(link, two)
    forgets(cluster, one, recorded)
    calm(cluster, one, 0)
    # The next boot finds nothing remembered; the daemon that runs has written it, and does so again only with news.
    cluster.machines[one].ask(f"mv {LINEAGE} {KEPT} && sync", LONG_S)
    cluster.machines[one].destroy()
    cluster.machines.heal()
    # DRBD calls it up to date; it lacks what the holder wrote since.
    until(lambda: "NOT_IN_SYNC" in cluster.why(two), "the replica that was left behind says why it waits", LONG_S, 1)
    check(cluster.drbd(two, "dstate").startswith("UpToDate"), "DRBD has nothing against it")
    stays_silent(cluster, two)
    check(cluster.role(two) == "Secondary", "it is refused")
    cluster.machines[one].on()
    refused = until(lambda: mismatch(cluster, one), "without what was remembered its data is not taken for the recorded", LONG_S, 1)
    check(refused[0] == recorded, f"recorded is {refused[0]:016X}, not {recorded:016X}")
    check(refused[1] in uuids(cluster, one)[:1], "it offers what it has")
    check({cluster.role(number) for number in (1, 2)} == {"Secondary"}, "nobody is active")
    cluster.machines[one].ask(f"mv {KEPT} {LINEAGE} && sync && picket stop", LONG_S)
    check(cluster.active() == one, "with it, it is")
    cluster.writes(one)
    cluster.in_sync()
    calm(cluster, one, 0)
    cluster.machines[one].destroy()
    check(cluster.active([two]) == two, "the other is active")
    cluster.writes(two)
    cluster.machines[one].on()
    cluster.in_sync()
    check(cluster.role(one) == "Secondary", "the former holder is back as a standby")
    calm(cluster, two, 1)


def mismatch(cluster, number):
    """Recorded and offered, as the refusal says them."""
    found = re.search(r"DATA_MISMATCH.*recorded ([0-9a-f]+), here ([0-9a-f]+)", cluster.why(number))
    return tuple(int(uuid, 16) for uuid in found.groups()) if found else None


def disk_restored(cluster):
    """Row 28: the standby's disk is one of before. Its remembered past names newer data, which is not on that disk."""
    one = cluster.fresh()
    two = other(one)
    disk, kept = OUT / f"n{two}.vda", OUT / f"n{two}.vda.kept"
    cluster.machines[two].suspend()
    shutil.copyfile(disk, kept)
    cluster.machines[two].resume()
    take_out(cluster, one)
    cluster.machines.heal()
    cluster.in_sync()
    newest, *_ = uuids(cluster, one)
    until(lambda: newest_remembered(cluster, two) == newest, "the standby remembers the newest generation", LONG_S, 1)
    for number in (1, 2):
        cluster.machines[number].destroy()
    shutil.copyfile(kept, disk)
    kept.unlink()
    # The other stays off: whoever is fenced is switched on again.
    cluster.machines.silence_power()
    cluster.machines[two].on()
    refused = until(lambda: mismatch(cluster, two), "the restored disk is refused", LONG_S, 1)
    print(f"   n{two} says: {cluster.why(two)}", flush=True)
    check(refused[1] == uuids(cluster, two)[0], "it offers what it has")
    stays_silent(cluster, two)
    check(cluster.role(two) == "Secondary", "it stays a standby")
    cluster.machines.heal()
    cluster.machines[one].on()
    # DRBD brings the restored disk in sync from the other's; then either may be active.
    active = cluster.goes_on()
    cluster.in_sync()
    calm(cluster, active, 1)


def newest_remembered(cluster, number):
    """The current generation in the record of that node's disk."""
    found = re.search(r'"current":"([0-9a-f]+)"', cluster.machines[number].ask(f"cat {LINEAGE}", LONG_S))
    return int(found[1], 16) if found else None


STORIES = {"forgotten": forgotten, "disk-restored": disk_restored}
SCENARIOS = {name: story(play) for name, play in STORIES.items()}
