"""What DRBD's kernel module does around its fence-peer handler, seen on the real one; docs/adr/0010 says what came out.

Each part cuts the replication under a Primary that writes, lets a stand-in for the handler answer with one exit status,
and keeps under tests/out/vm/spike: the events2 stream, the generations before, during and after, the kernel's log, and
when each write was acknowledged.
"""

from rig import OUT, check

LONG_S = 1800  # emulation on a busy machine; everything here is waited for by its event
KEPT = OUT / "spike"

HANDLER = r"""#!/bin/dash
# Notes its call, waits to be told its exit status.
note() { echo "$(cut -d' ' -f1 /proc/uptime) $*" >>/run/handler; }
note "called $0 $* $(env | grep ^DRBD_ | tr '\n' ' ')"
while [ ! -s /run/exit ]; do sleep 0.1; done
code=$(cat /run/exit)
rm /run/exit
note "exits $code, generation $(timeout 5 drbdadm get-gi r0)"
exit "$code"
"""

WRITER = r"""
echo 'i=0; while :; do i=$((i+1)); dd if=/dev/zero of=/dev/drbd0 bs=4096 count=1 seek=$((i % 1000)) oflag=direct 2>/dev/null || exit
echo "$(cut -d" " -f1 /proc/uptime) $i" >>/run/writes; sleep 0.1; done' >/run/writer
setsid sh /run/writer >/dev/null 2>&1 & echo $! >/run/writer.pid
"""


def prepare(machines):
    print("   both machines are up", flush=True)
    for number in (1, 2):
        guest = machines[number]
        # In the place of Picket's own: DRBD calls them by the path that its configuration says.
        for folder in ("/usr/sbin", "/usr/local/sbin"):
            guest.ask(f"cat >{folder}/picket-drbd-fence-peer <<'X'\n{HANDLER}X\nchmod +x {folder}/picket-drbd-fence-peer")
            guest.ask(f"printf '#!/bin/sh\\nexit 0\\n' >{folder}/picket-drbd-unfence; chmod +x {folder}/picket-drbd-unfence")
        guest.ask("drbdadm create-md --force r0 && drbdadm up r0", LONG_S)
    connected(machines)
    machines[1].ask("drbdadm -- --clear-bitmap new-current-uuid r0", LONG_S)
    in_sync(machines)
    KEPT.mkdir(exist_ok=True)


def inside(guest, condition):
    """Waits inside the guest: each question from outside costs an emulated machine much of its time."""
    guest.ask(f"until {condition}; do sleep 1; done", LONG_S)


def connected(machines):
    inside(machines[1], '[ "$(drbdadm cstate r0)" = Connected ]')


def in_sync(machines):
    inside(machines[1], '[ "$(drbdadm dstate r0)" = UpToDate/UpToDate ]')


def keep(machines, name, text):
    with open(KEPT / name, "a") as file:
        file.write(text + "\n")
    print(f"   {name}: {text[:2000]}", flush=True)


def look(machines, name, when):
    for number in (1, 2):
        seen = machines[number].ask(
            "cut -d' ' -f1 /proc/uptime; drbdadm get-gi r0; drbdadm role r0; drbdadm cstate r0; drbdadm dstate r0; "
            "grep -A1 cs: /proc/drbd; tail -1 /run/writes 2>/dev/null; true", LONG_S)
        keep(machines, name, f"-- {when}, n{number}\n{seen}")


def begin(machines):
    machines[1].ask("drbdadm primary r0", LONG_S)
    machines[1].ask(
        "rm -f /run/handler /run/exit /run/writes /run/events; dmesg -c >/dev/null; "
        "setsid drbdsetup events2 --timestamps --statistics r0 >/run/events 2>&1 & echo $! >/run/events.pid", LONG_S)
    machines[1].ask(WRITER, LONG_S)
    inside(machines[1], "[ -s /run/writes ]")


def end(machines, name):
    guest = machines[1]
    guest.ask("kill $(cat /run/writer.pid) 2>/dev/null; kill $(cat /run/events.pid) 2>/dev/null; true", LONG_S)
    for what in ("events", "handler", "writes"):
        keep(machines, f"{name}.{what}", guest.ask(f"cat /run/{what} 2>/dev/null; true", LONG_S))
    keep(machines, f"{name}.kernel", guest.ask("dmesg | grep -iE 'drbd|block'", LONG_S))


def calls(machines):
    return int(machines[1].ask("grep -c called /run/handler 2>/dev/null || true", LONG_S) or 0)


def answer(machines, code):
    inside(machines[1], "grep -q called /run/handler 2>/dev/null")
    before = machines[1].ask("wc -l </run/writes", LONG_S)
    look(machines, f"exit-{code}", "while the handler waits")
    check(machines[1].ask("wc -l </run/writes", LONG_S) == before, "writes were acknowledged while the handler waited")
    machines[1].ask(f"echo {code} >/run/exit", LONG_S)
    inside(machines[1], "grep -q exits /run/handler")


def flows(machines):
    inside(machines[1], "[ $(wc -l </run/writes) -gt $(cat /run/count 2>/dev/null || wc -l </run/writes | tee /run/count) ]")
    machines[1].ask("rm -f /run/count", LONG_S)


def handler(code, goes_on):
    def part(machines):
        name = f"exit-{code}"
        begin(machines)
        look(machines, name, "before")
        machines.cut("repl")
        answer(machines, code)
        if goes_on:
            flows(machines)
        else:
            before = machines[1].ask("sleep 10; wc -l </run/writes", LONG_S)
            stays = machines[1].ask("sleep 30; wc -l </run/writes", LONG_S) == before
            keep(machines, name, f"stays suspended: {stays}; the handler was called {calls(machines)} times")
        look(machines, name, "after")
        machines.heal()
        if not goes_on and code == 1:
            resumed(machines, name)
        connected(machines)
        in_sync(machines)
        look(machines, name, "after the return")
        end(machines, name)
        machines[1].ask("drbdadm secondary r0", LONG_S)

    return part


def resumed(machines, name):
    connected(machines)
    flows(machines)
    keep(machines, name, f"the peer's return lifted the suspension; the handler was called {calls(machines)} times")
    # Once more, and lifted by hand.
    machines[1].ask("rm -f /run/handler", LONG_S)
    machines.cut("repl")
    answer(machines, 1)
    machines[1].ask("drbdadm resume-io r0", LONG_S)
    flows(machines)
    look(machines, name, "after resume-io")
    machines.heal()


def cut_by_hand(machines):
    """A freeze by disconnecting, lifted by connecting."""
    begin(machines)
    look(machines, "disconnect", "before")
    machines[1].ask("drbdadm disconnect --force r0", LONG_S)
    inside(machines[1], "grep -q called /run/handler 2>/dev/null")
    look(machines, "disconnect", "after disconnect --force")
    before = machines[1].ask("sleep 5; wc -l </run/writes", LONG_S)
    stays = machines[1].ask("sleep 10; wc -l </run/writes", LONG_S) == before
    keep(machines, "disconnect", f"suspended by disconnect --force: {stays}")
    machines[1].ask("drbdadm connect r0", LONG_S)
    flows(machines)
    look(machines, "disconnect", "after connect")
    machines[1].ask("echo 1 >/run/exit", LONG_S)
    end(machines, "disconnect")
    machines[1].ask("drbdadm secondary r0", LONG_S)


def promoted_alone(machines):
    """A promotion without the peer: the handler is asked first, and what else is asked meanwhile waits."""
    machines[1].ask("drbdadm disconnect --force r0; rm -f /run/handler /run/exit; dmesg -c >/dev/null", LONG_S)
    look(machines, "alone", "before")
    machines[1].ask("setsid sh -c 'drbdadm primary r0 >/run/primary 2>&1; echo exit $? >>/run/primary' >/dev/null 2>&1 &", LONG_S)
    inside(machines[1], "grep -q called /run/handler 2>/dev/null")
    code, said = machines[1].ask("timeout 10 drbdadm suspend-io r0; echo $?", LONG_S, expect=None)
    keep(machines, "alone", f"suspend-io while a promotion waits for its handler: {said.strip()}")
    # A promotion asks more than once.
    machines[1].ask("until grep -q exit /run/primary; do [ -s /run/exit ] || echo 1 >/run/exit; sleep 1; done; rm -f /run/exit", LONG_S)
    keep(machines, "alone", f"handler 1, called {calls(machines)} times: " + machines[1].ask("cat /run/primary; drbdadm role r0", LONG_S))
    machines[1].ask("rm -f /run/handler; drbdadm resume-io r0; true", LONG_S)
    machines[1].ask("echo 4 >/run/exit; drbdadm primary r0", LONG_S)
    look(machines, "alone", "promoted after 4")
    keep(machines, "alone.kernel", machines[1].ask("dmesg | grep -iE 'drbd|block'", LONG_S))
    machines[1].ask("drbdadm secondary r0; drbdadm connect r0", LONG_S)
    connected(machines)


def spike(machines):
    prepare(machines)
    cut_by_hand(machines)
    for code, goes_on in ((1, False), (4, True), (7, True)):
        handler(code, goes_on)(machines)
    promoted_alone(machines)
    for code, goes_on in ((5, True), (6, False)):
        handler(code, goes_on)(machines)


SCENARIOS = {"spike": spike}
