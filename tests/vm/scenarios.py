"""What must follow, told as stories: each begins with a fresh pair, n1 or n2 active, both in sync.

Order and safety are asserted, never milliseconds. `calm` ends every story: nothing acknowledged is lost, the node that
acknowledges changed no more often than the story says, and the observer never saw two nodes writable.
"""

import time

from cluster import LONG_S, Cluster
from rig import Failure, check, until

QUIET_S = 60  # how long nothing may happen where nothing must: longer than a lease with its guard
PAUSE_S = 45  # the same, for a machine that is paused: its lease is over when it wakes


def calm(cluster, number, switches):
    check(cluster.nothing_is_lost(number) > 0, "the ledger is empty")
    seen = cluster.switches()
    check(seen <= switches, f"the acknowledging node changed {seen} times, not {switches}")
    samples = cluster.never_two()
    check(samples > 0, "the observer saw nothing")
    acks = len(cluster.acks(1)) + len(cluster.acks(2))
    print(f"   {samples} samples, never two writable; {acks} acknowledged writes, none lost; {seen} switches", flush=True)


def other(number):
    return 3 - number


def stays_silent(cluster, number, late=0):
    """No write is acknowledged there for a while, but for those that were on their way to us."""
    before = len(cluster.acks(number))
    try:
        until(lambda: len(cluster.acks(number)) > before + late, "", QUIET_S)
    except Failure:
        return
    raise Failure(f"n{number} acknowledged a write")


def taken_over(cluster, harm):
    """The active node is harmed: the other fences it, is active, and what was acknowledged is there."""
    one = cluster.fresh()
    two = other(one)
    harm(cluster.machines[one])
    check(cluster.active([two]) == two, "the other is active")
    cluster.writes(two)
    calm(cluster, two, 1)
    return one, two


def back(cluster, one, two):
    """The former holder, on again, follows."""
    cluster.machines.heal()
    cluster.machines[one].on()
    cluster.in_sync()
    check(cluster.role(one) == "Secondary", "the former holder is back as a standby")
    calm(cluster, two, 1)


def destroyed(cluster):
    one, two = taken_over(cluster, lambda guest: guest.destroy())
    back(cluster, one, two)


def panicked(cluster):
    taken_over(cluster, lambda guest: guest.begin("echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger", 5))


def isolated(cluster):
    """Row 4: the hypervisor ends the machine, and the kernel of the other is told so."""
    one, two = taken_over(cluster, lambda guest: cluster.machines.isolate(guest.number))
    check("fence-peer r0 exit code 7" in cluster.kernel_log(two), "the handler says: removed, and fenced")
    back(cluster, one, two)


def suspended(cluster):
    """Row 15: paused from outside, nobody sees it; the hypervisor's word that it is off comes first."""
    one, two = taken_over(cluster, lambda guest: guest.suspend())
    check(cluster.machines[one].state() != "paused", "it was fenced: it cannot wake as a holder")
    back(cluster, one, two)


def suspended_unfenced(cluster):
    """The same while the hypervisor does not answer: blocked with the reason; then the former holder wakes, beyond its
    lease without knowing it."""
    one = cluster.fresh()
    two = other(one)
    held = int(cluster.volume(one)["epoch"])
    cluster.machines.silence_power()
    cluster.machines[one].suspend()
    asleep = time.monotonic()

    def is_unknown():
        check(cluster.role(two) == "Secondary", "the standby waits: neither a pause nor a lease is a proof")
        return "UNKNOWN" in cluster.fences(two)

    until(is_unknown, "the fence's outcome is told as unknown", LONG_S, 1)
    until(lambda: time.monotonic() > asleep + PAUSE_S, "its lease is over")
    check(cluster.role(two) == "Secondary", "the standby still waits")
    print(f"   n{two} says: {cluster.why(two)}", flush=True)
    cluster.machines[one].resume()
    # It gives back what it held; whoever of both is granted it then.
    active = until(lambda: next((number for number in (1, 2) if cluster.holds(number, above=held)), None),
                   "one of them holds it by a newer grant", LONG_S, 1)
    cluster.writes(active)
    cluster.machines.heal()
    for number in (1, 2):
        cluster.machines[number].on()
    cluster.in_sync()
    calm(cluster, active, 1)


def daemon_stopped(cluster):
    """Row 13: the watchdog or a fence ends the machine."""
    one, two = taken_over(cluster, lambda guest: guest.ask("kill -STOP $(pidof picketd)"))
    back(cluster, one, two)


def stop_timeout(cluster):
    """Row 19: what stands on the volume cannot be stopped; the node declares itself failed and ends itself."""

    def harm(guest):
        guest.ask("touch /run/stuck")
        # No answer is waited for: the machine ends meanwhile.
        guest.begin(f"picket move data n{other(guest.number)}", LONG_S)

    one, two = taken_over(cluster, harm)
    back(cluster, one, two)


def lease_proven(cluster):
    """Row 4 on machines whose pauses are seen, without a power switch: the lease is the proof. The former holder has frozen
    and waits; it hears of its successor, is seen inactive or ends itself, and follows."""
    one = cluster.fresh(
        r"""sed -i -e 's/^loss_action.*/loss_action = "freeze"/' -e 's/^\[node\]/[node]\npause_visible = true/' /etc/picket/n?.toml"""
    )
    two = other(one)
    cluster.machines.silence_power()
    cluster.machines.isolate(one)
    cluster.sees(one, "suspended")
    check(cluster.active([two]) == two, "the other is active")
    cluster.writes(two)
    check(cluster.role(one) == "Primary", "the former holder is frozen, and is there")
    cluster.machines.heal(power=False)
    cluster.sees(one, "secondary")
    back(cluster, one, two)


def replication_cut(cluster):
    one = cluster.fresh()
    cluster.machines.cut("repl")
    cluster.writes(one)
    check(cluster.role(other(one)) == "Secondary", "the standby is refused")
    for number in (1, 2):
        check(cluster.machines[number].state() == "running", "nobody is fenced")
    calm(cluster, one, 0)
    cluster.machines.heal()
    cluster.in_sync()
    calm(cluster, one, 0)


def witness_killed(cluster):
    one = cluster.fresh()
    cluster.kill_witness()
    for _ in range(3):
        cluster.writes(one)
    cluster.start_witness()
    cluster.writes(one)
    calm(cluster, one, 0)


def handler_without_witness(cluster):
    """Row 9: the peer is lost while nobody can record it: suspended until it is recorded, whoever goes on then."""
    one = cluster.fresh()
    cluster.kill_witness()
    cluster.machines.cut("repl")
    cluster.sees(one, "suspended")
    stays_silent(cluster, one, late=1)
    cluster.start_witness()
    active = cluster.goes_on()
    for number in (1, 2):
        cluster.machines[number].on()
    cluster.machines.heal()
    cluster.in_sync()
    calm(cluster, active, 1)


def resync_rate(cluster, rate):
    for number in (1, 2):
        cluster.machines[number].ask(f"drbdsetup disk-options 0 --c-plan-ahead=0 --resync-rate={rate}", LONG_S)


def resync(cluster):
    """A replica that comes back is brought in sync under way, in sight, and counts when it is."""
    one = cluster.fresh()
    two = other(one)
    cluster.machines.cut("repl")
    until(lambda: cluster.isr(one) == {f"n{one}"}, "the standby is taken out", LONG_S, 1)
    cluster.machines[one].ask("dd if=/dev/urandom of=/mnt/data/bulk bs=1M count=12 conv=fsync", LONG_S)
    resync_rate(cluster, "250K")
    cluster.machines.heal()
    for number in (one, two):

        def underway():
            told = cluster.volume(number)
            check(told.get("isr") != ["n1", "n2"] or told.get("sync_percent") is None, "not in sync before it is")
            return told.get("sync_percent") if 0 < (told.get("sync_percent") or 0) < 100 else None

        print(f"   n{number} says {until(underway, 'the status tells how far it is', LONG_S, 0.5)} %", flush=True)
        resync_rate(cluster, "250K")
    resync_rate(cluster, "100M")
    cluster.in_sync()
    until(lambda: all(cluster.volume(number).get("sync_percent", 0) is None for number in (1, 2)), "no resync is told", LONG_S, 1)
    calm(cluster, one, 0)


def disk_lost(cluster):
    """The disk under the active replica is gone: that machine ends itself, as DRBD is configured to."""
    pull = "echo $(basename $(readlink -f /sys/block/vda/device)) >/sys/bus/virtio/drivers/virtio_blk/unbind"
    one, two = taken_over(cluster, lambda guest: guest.begin(pull, LONG_S))
    back(cluster, one, two)


def power_cycled(cluster):
    """Row 21: both at once."""
    cluster.fresh()
    for number in (1, 2):
        cluster.machines[number].destroy()
    cluster.machines.boot()
    active = cluster.goes_on()
    cluster.in_sync()
    calm(cluster, active, 1)


def stale_alone(cluster):
    """Row 20: the replica that was taken out boots alone."""
    one = cluster.fresh()
    two = other(one)
    cluster.machines.cut("repl")
    until(lambda: cluster.isr(one) == {f"n{one}"}, "the standby is taken out", LONG_S, 1)
    cluster.writes(one)
    for number in (1, 2):
        cluster.machines[number].destroy()
    cluster.machines.heal()
    cluster.machines[two].on()
    until(lambda: "NOT_IN_SYNC" in cluster.why(two), "the stale replica says why it waits", LONG_S, 1)
    stays_silent(cluster, two)
    check(cluster.role(two) == "Secondary", "the stale replica is refused")
    check("NOT_IN_SYNC" in cluster.why(two), "and says why")
    cluster.machines[one].on()
    check(cluster.active() == one, "the one with the data is active")
    cluster.writes(one)
    cluster.in_sync()
    calm(cluster, one, 0)


STORIES = {
    "destroyed": destroyed,
    "panicked": panicked,
    "isolated": isolated,
    "suspended": suspended,
    "suspended-unfenced": suspended_unfenced,
    "lease-proven": lease_proven,
    "daemon-stopped": daemon_stopped,
    "stop-timeout": stop_timeout,
    "replication-cut": replication_cut,
    "witness-killed": witness_killed,
    "handler-without-witness": handler_without_witness,
    "resync": resync,
    "disk-lost": disk_lost,
    "power-cycled": power_cycled,
    "stale-alone": stale_alone,
}


def story(play):
    def run(machines):
        machines.cluster = getattr(machines, "cluster", None) or Cluster(machines)
        play(machines.cluster)

    return run


SCENARIOS = {name: story(play) for name, play in STORIES.items()}
