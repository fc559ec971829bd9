"""Runs scenarios, one after the other, on a pair of machines; `tests/vm/run` starts it in namespaces of its own."""

import sys
import time
import traceback

import cluster
import guide
import lies
import past
import rig
import scenarios
import spike

STORIES = {**scenarios.SCENARIOS, **past.SCENARIOS, **lies.SCENARIOS, **guide.SCENARIOS}
SCENARIOS = {**STORIES, **spike.SCENARIOS}


def play(names):
    failed = []
    if set(names) & set(STORIES):
        cluster.pack()
    # The spike looks at one kernel's order of events; all else at two machines' time.
    machines = rig.Rig(own_time=set(names) <= set(spike.SCENARIOS))
    machines.up()
    for name in names:
        began = time.monotonic()
        print(f"-- {name}", flush=True)
        try:
            SCENARIOS[name](machines)
            print(f"ok      {name} ({time.monotonic() - began:.0f} s)", flush=True)
        except Exception as failure:
            failed.append(name)
            told = str(failure) if isinstance(failure, rig.Failure) else traceback.format_exc()
            print(f"FAILED  {name}: {told}", flush=True)
            show(machines)
    return 1 if failed else 0


def show(machines):
    """What each machine says of itself after a failure."""
    for number in rig.NODES:
        try:
            script = "cat /proc/drbd; drbdsetup events2 --now r0; picket status -1; dmesg | grep drbd | tail -n 25; true"
            print(f"-- n{number}, {machines[number].state()}\n{machines[number].ask(script, 60)}", flush=True)
        except Exception as failure:  # it may be off, or what failed may be this
            print(f"-- n{number}: {failure}", flush=True)


def main(words):
    if words == ["--list"]:
        print("\n".join(SCENARIOS))
        return 0
    if words[:1] == ["--in"]:
        guest = rig.Guest(int(words[1][-1]))
        guest.attach()
        code, said = guest.ask(words[2], expect=None)
        print(said, end="")
        return code
    if words[:1] == ["--cut"]:
        rig.Rig().cut(words[1], *[int(number) for number in words[2:3]], *words[3:])
        return 0
    if words == ["--heal"]:
        rig.Rig().heal()
        return 0
    if words == ["--keep"]:
        machines = rig.Rig()
        machines.up()
        for number in rig.NODES:
            machines[number].detach()  # a serial port has one reader
        print("up; ends with this program", flush=True)
        machines.libvirtd.wait()
        return 0
    unknown = [name for name in words if name not in SCENARIOS]
    if unknown:
        print(f"no such scenario: {' '.join(unknown)}; there are: {' '.join(SCENARIOS)}")
        return 2
    return play(words or list(STORIES))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
