#!/usr/bin/env bash
# fence_picket_ipmi against controllers of others: ipmi_sim (openipmi), pyghmi's, and virtualbmc with a real QEMU
# guest under libvirtd. What is seen off is looked at beside the controller: the machine's process, the guest.
#
#   tests/lib/devices/ipmi.sh PICKET_FENCE OUT
#
# All of it runs in namespaces of its own (mounts, network, processes): libvirt's and the run-time folders are empty
# ones, traffic stays on that loopback interface, and what is left running ends with the namespace.
set -uo pipefail
AGENT=$(realpath "$1") OUT=$(mkdir -p "$2" && realpath "$2") HERE=$(dirname "$(realpath "$0")")
WORK=$OUT/ipmi PART=ipmi DEVICE=ipmi
# shellcheck source=common.bash
. "$HERE/common.bash"
GUEST=4c4c4544-0051-3510-8052-b4c04f4a3336
PORT_SIM=6231 PORT_PYGHMI=6232 PORT_VIRTUAL=6233
began=()
SESSIONS=40 # more than any of these controllers holds open

login() { # PORT: the options for it, in LOGIN
  LOGIN=(ip=127.0.0.1 "ipport=$1" username=admin password=secret cipher=3)
}

answers() { # PORT
  until_true ipmitool -I lanplus -C 3 -H 127.0.0.1 -p "$1" -U admin -P secret chassis power status
}

controller() { # NAME PORT ALIVE: all actions, and what each of these controllers must refuse
  local name=$1 alive=$3
  login "$2"
  round "$name" "$alive" "${LOGIN[@]}"
  says "$name: wrong password" 1 "wrong password for user 'admin'" "${LOGIN[@]}" action=off password=nonsense
  $alive; told "$name: and nothing was switched" $?
  says "$name: no suite 17 there, and no step down to 3 unasked" 1 "" "${LOGIN[@]}" action=status cipher=17 login_timeout=2
  each_session_is_closed; told "$name: $SESSIONS sessions one after the other" $?
}

each_session_is_closed() {
  local count said
  for count in $(seq $SESSIONS); do
    said=$(printf '%s\n' "${LOGIN[@]}" action=status | "$AGENT" ipmi 2>&1) || { echo "        at session $count: $said"; return 1; }
  done
}

# A machine that is a process: FILE holds its number.
machine() { # on|off|alive FILE
  case $1 in
  on) machine alive "$2" || { setsid sleep 100000 </dev/null >/dev/null 2>&1 & echo $! >"$2"; disown; } ;;
  off) ! machine alive "$2" || { kill -9 "$(cat "$2")" && until_true eval "! machine alive $2"; } ;;
  # A dead process that nobody has reaped yet runs no more.
  alive) grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$(cat "$2" 2>/dev/null)/status" ;;
  esac
}

chassis() { # get|set power [VALUE]: what ipmi_sim calls
  local file=$WORK/sim/machine
  case "$1 $2" in
  "get power") if machine alive "$file"; then echo power:1; else echo power:0; fi ;;
  "set power")
    if [ "$3" = 1 ]; then machine on "$file"
    # A controller that accepts and does nothing.
    elif ! [ -e "$WORK/sim/deaf" ]; then machine off "$file"; fi ;;
  get*) echo "$2:0" ;;
  esac
}

sim() { # OpenIPMI's simulator: IPMI 2.0 with suite 3, and IPMI 1.5
  mkdir -p "$WORK/sim/state"
  cat >"$WORK/sim/lan.conf" <<CONF
name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 $PORT_SIM
    priv_limit admin
    allowed_auths_admin none md5
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "$HERE/ipmi.sh $AGENT $OUT chassis"
  user 2 true "admin" "secret" admin 10 none md5
CONF
  printf '%s\n' "mc_setbmc 0x20" "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02" "mc_enable 0x20" >"$WORK/sim/cmd"
  machine on "$WORK/sim/machine"
  ipmi_sim -n -c "$WORK/sim/lan.conf" -f "$WORK/sim/cmd" -s "$WORK/sim/state" >"$WORK/sim/log" 2>&1 &
  local alive="machine alive $WORK/sim/machine"
  answers $PORT_SIM; told "ipmi_sim answers ipmitool" $?
  controller ipmi_sim $PORT_SIM "$alive"
  says "ipmi_sim: wrong user" 1 "does not know user 'nobody'" "${LOGIN[@]}" action=status username=nobody
  says "ipmi_sim: IPMI 1.5: status" 0 "Status: ON" "${LOGIN[@]}" action=status lanplus=0
  says "ipmi_sim: IPMI 1.5: reboot" 0 "Success: Rebooted" "${LOGIN[@]}" action=reboot lanplus=0
  says "ipmi_sim: IPMI 1.5: wrong password" 1 "check password" "${LOGIN[@]}" action=status lanplus=0 password=nonsense login_timeout=2
  : >"$WORK/sim/deaf"
  says "ipmi_sim: accepts and does nothing" 1 "Timed out waiting to power OFF" "${LOGIN[@]}" action=off power_timeout=2
  $alive; told "ipmi_sim: and the machine runs" $?
  ended_by_a_signal
  rm "$WORK/sim/deaf"
}

ended_by_a_signal() { # while it waits for the machine to go off
  printf '%s\n' "${LOGIN[@]}" action=off \
    | PCMK_service=pacemaker-fenced "$AGENT" ipmi >"$WORK/sim/killed" 2>&1 &
  local pid=$!
  until_true eval "[ \$(sessions) -ge 2 ]"
  told "ipmi_sim: the agent's session is there" $?
  kill -TERM $pid
  wait $pid
  [ $? != 0 ] && ! grep -q Success "$WORK/sim/killed"; told "ipmi_sim: an agent that is told to end claims nothing" $?
  [ "$(sessions)" = 1 ]; told "ipmi_sim: and leaves no session" $?
}

sessions() { # that are open, the asking one among them
  ipmitool -I lanplus -C 3 -H 127.0.0.1 -p $PORT_SIM -U admin -P secret session info active \
    | sed -n 's/^active sessions *: *//p' | head -1
}

pyghmi() { # the controller that pyghmi brings, its machine a process
  mkdir -p "$WORK/pyghmi"
  "$VENV/bin/python" "$HERE/pyghmi_controller.py" $PORT_PYGHMI "$WORK/pyghmi/machine" >"$WORK/pyghmi/log" 2>&1 &
  until_true test -s "$WORK/pyghmi/machine"
  answers $PORT_PYGHMI; told "pyghmi answers ipmitool" $?
  controller pyghmi $PORT_PYGHMI "machine alive $WORK/pyghmi/machine"
}

libvirt() { # a libvirtd of our own, and one guest without a disk
  mount -t tmpfs none /run
  empty_folders || return 1
  export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent
  libvirtd_here "$WORK/libvirtd.log"
  until_true virsh -q -c qemu:///system list || return 1
  guest guest $GUEST >"$WORK/guest.xml"
  virsh -q -c qemu:///system define "$WORK/guest.xml" && virsh -q -c qemu:///system start guest
}

virtual() { # virtualbmc in front of the guest
  libvirt >"$WORK/libvirt.log" 2>&1; told "libvirtd runs a guest" $?
  export HOME=$WORK/home
  mkdir -p "$HOME"
  "$VENV/bin/vbmcd" --foreground >"$WORK/vbmcd.log" 2>&1 &
  until_true "$VENV/bin/vbmc" list
  "$VENV/bin/vbmc" add guest --port $PORT_VIRTUAL --username admin --password secret --libvirt-uri qemu:///system \
    && "$VENV/bin/vbmc" start guest
  answers $PORT_VIRTUAL; told "virtualbmc answers ipmitool" $?
  controller virtualbmc $PORT_VIRTUAL "guest_runs $GUEST"
}

case "${3:-}" in
chassis) chassis "${@:4}" ;;
inside)
  ip link set lo up
  rm -rf "$WORK" && mkdir -p "$WORK"
  for one in sim pyghmi virtual; do
    { "$one"; exit $FAILED; } >"$WORK/$one.told" 2>&1 &
    began+=($!)
  done
  for one in "${began[@]}"; do wait "$one" || FAILED=1; done
  cat "$WORK"/*.told
  exit $FAILED ;;
*) prepare && in_namespaces ;;
esac
