"""What must follow, told as stories: each begins with a fresh pair, n1 or n2 active, both in sync.

Order and safety are asserted, never milliseconds. `calm` ends every story: nothing acknowledged is lost, the node that
acknowledges changed no more often than the story says, and the observer never saw two nodes writable.
"""

from cluster import LONG_S, Cluster
from rig import check, until


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
    """Row 4: the hypervisor ends the machine that is cut off from everything."""
    one, two = taken_over(cluster, lambda guest: cluster.machines.isolate(guest.number))
    back(cluster, one, two)


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


def power_cycled(cluster):
    """Row 21: both at once."""
    cluster.fresh()
    for number in (1, 2):
        cluster.machines[number].destroy()
    cluster.machines.boot()
    active = cluster.goes_on()
    cluster.in_sync()
    calm(cluster, active, 1)


STORIES = {
    "destroyed": destroyed,
    "panicked": panicked,
    "isolated": isolated,
    "daemon-stopped": daemon_stopped,
    "stop-timeout": stop_timeout,
    "replication-cut": replication_cut,
    "witness-killed": witness_killed,
    "power-cycled": power_cycled,
}


def story(play):
    def run(machines):
        machines.cluster = getattr(machines, "cluster", None) or Cluster(machines)
        play(machines.cluster)

    return run


SCENARIOS = {name: story(play) for name, play in STORIES.items()}
