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
VENV=$OUT/venv-ipmi WORK=$OUT/ipmi
PORT_SIM=6231 PORT_PYGHMI=6232 PORT_VIRTUAL=6233
LIMIT_S=30 # for anything that is waited for: starting libvirtd takes a few seconds on a busy machine

left_out() { echo "LEFT OUT: ipmi: $1"; exit 0; }

prepare() {
  [ "$(id -u)" = 0 ] || left_out "not root: no namespaces and no packages"
  local want="openipmi ipmitool qemu-system-x86 libvirt-daemon-system libvirt-clients python3-libvirt python3-venv"
  local program missing=""
  for program in ipmi_sim ipmitool qemu-system-x86_64 libvirtd virsh; do
    command -v "$program" >/dev/null || missing=yes
  done
  if [ -n "$missing" ]; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want; } \
      >"$OUT/apt-ipmi.log" 2>&1 || left_out "apt could not install: $want (see $OUT/apt-ipmi.log)"
  fi
  # Debian's own Python, because the libvirt bindings belong to it.
  if ! [ -x "$VENV/bin/vbmcd" ]; then
    { /usr/bin/python3 -m venv --clear --system-site-packages "$VENV" \
      && "$VENV/bin/pip" install -q pyghmi==1.6.19 virtualbmc==3.3.0; } \
      >"$OUT/pip-ipmi.log" 2>&1 || left_out "pip could not install pyghmi and virtualbmc (see $OUT/pip-ipmi.log)"
  fi
}

# --- inside the namespaces

FAILED=0
told() { # DESCRIPTION RC: one line for each thing that was looked at
  if [ "$2" = 0 ]; then echo "ok      $1"; else echo "FAILED  $1"; FAILED=1; fi
}

until_true() { # COMMAND…: waits for it, with a limit
  local end=$((SECONDS + LIMIT_S))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1 # none of them tells when it is ready
  done
}

agent() { # PORT OPTION…: what it said is in $SAID and $CODE
  local port=$1
  shift
  SAID=$({ printf '%s\n' ip=127.0.0.1 "ipport=$port" username=admin password=secret cipher=3 "$@" | "$AGENT" ipmi; } 2>&1)
  CODE=$?
}

says() { # DESCRIPTION CODE TEXT PORT OPTION…
  local what=$1 code=$2 text=$3
  shift 3
  agent "$@"
  [ "$CODE" = "$code" ] && [[ $SAID == *"$text"* ]]
  told "$what" $?
  [ "$CODE" = "$code" ] && [[ $SAID == *"$text"* ]] || echo "        said ($CODE): $SAID"
}

round() { # NAME PORT ALIVE: all actions; ALIVE looks at the machine itself
  local name=$1 port=$2 alive=$3 count
  says "$name: status is on" 0 "Status: ON" "$port" action=status
  says "$name: off" 0 "Success: Powered OFF" "$port" action=off
  ! $alive; told "$name: off was true: the machine is gone" $?
  says "$name: off again" 0 "Success: Already OFF" "$port" action=off
  says "$name: status is off" 2 "Status: OFF" "$port" action=status
  says "$name: on" 0 "Success: Powered ON" "$port" action=on
  $alive; told "$name: on was true: the machine runs" $?
  says "$name: reboot" 0 "Success: Rebooted" "$port" action=reboot
  $alive; told "$name: the machine runs after the reboot" $?
  says "$name: monitor" 0 "" "$port" action=monitor
  says "$name: wrong password" 1 "wrong password for user 'admin'" "$port" action=off password=nonsense
  $alive; told "$name: and nothing was switched" $?
  says "$name: no suite 17 there, and no step down to 3 unasked" 1 "" "$port" action=status cipher=17 login_timeout=2
  # More sessions than any of them holds open: each was closed.
  for count in $(seq 40); do
    agent "$port" action=status
    [ "$CODE" = 0 ] || break
  done
  [ "$CODE" = 0 ]; told "$name: 40 sessions one after the other" $?
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
  until_true ipmitool -I lanplus -C 3 -H 127.0.0.1 -p $PORT_SIM -U admin -P secret chassis power status
  told "ipmi_sim answers ipmitool" $?
  round ipmi_sim $PORT_SIM "$alive"
  says "ipmi_sim: wrong user" 1 "does not know user 'nobody'" $PORT_SIM action=status username=nobody
  says "ipmi_sim: IPMI 1.5: status" 0 "Status: ON" $PORT_SIM action=status lanplus=0
  says "ipmi_sim: IPMI 1.5: reboot" 0 "Success: Rebooted" $PORT_SIM action=reboot lanplus=0
  says "ipmi_sim: IPMI 1.5: wrong password" 1 "check password" $PORT_SIM action=status lanplus=0 password=nonsense login_timeout=2
  : >"$WORK/sim/deaf"
  says "ipmi_sim: accepts and does nothing" 1 "Timed out waiting to power OFF" $PORT_SIM action=off power_timeout=2
  $alive; told "ipmi_sim: and the machine runs" $?
  ended_by_a_signal
  rm "$WORK/sim/deaf"
}

ended_by_a_signal() { # while it waits for the machine to go off
  printf '%s\n' ip=127.0.0.1 "ipport=$PORT_SIM" username=admin password=secret cipher=3 action=off \
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
  until_true ipmitool -I lanplus -C 3 -H 127.0.0.1 -p $PORT_PYGHMI -U admin -P secret chassis power status
  told "pyghmi answers ipmitool" $?
  round pyghmi $PORT_PYGHMI "machine alive $WORK/pyghmi/machine"
}

libvirt() { # a libvirtd of our own, and one guest without a disk
  local dir
  for dir in /run /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do mount -t tmpfs none $dir || return 1; done
  mkdir -p /run/libvirt /var/lib/libvirt/qemu
  printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'cgroup_controllers = [ ]' 'namespaces = [ ]' \
    'stdio_handler = "file"' 'dynamic_ownership = 0' 'remember_owner = 0' >/etc/libvirt/qemu.conf
  printf '%s\n' 'auth_unix_rw = "none"' 'unix_sock_group = "root"' >/etc/libvirt/libvirtd.conf
  libvirtd >"$WORK/libvirtd.log" 2>&1 &
  until_true virsh -q -c qemu:///system list || return 1
  cat >"$WORK/guest.xml" <<XML
<domain type='qemu'><name>guest</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><memballoon model='none'/></devices></domain>
XML
  virsh -q -c qemu:///system define "$WORK/guest.xml" && virsh -q -c qemu:///system start guest
}

guest_runs() { # by its own process, not by what libvirt says
  local pid
  pid=$(cat /run/libvirt/qemu/guest.pid 2>/dev/null) && grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status"
}

virtual() { # virtualbmc in front of the guest
  libvirt >"$WORK/libvirt.log" 2>&1; told "libvirtd runs a guest" $?
  export HOME=$WORK/home
  mkdir -p "$HOME"
  "$VENV/bin/vbmcd" --foreground >"$WORK/vbmcd.log" 2>&1 &
  until_true "$VENV/bin/vbmc" list
  "$VENV/bin/vbmc" add guest --port $PORT_VIRTUAL --username admin --password secret --libvirt-uri qemu:///system \
    && "$VENV/bin/vbmc" start guest
  until_true ipmitool -I lanplus -C 3 -H 127.0.0.1 -p $PORT_VIRTUAL -U admin -P secret chassis power status
  told "virtualbmc answers ipmitool" $?
  round virtualbmc $PORT_VIRTUAL guest_runs
}

case "${3:-}" in
chassis) chassis "${@:4}" ;;
inside)
  ip link set lo up
  rm -rf "$WORK" && mkdir -p "$WORK"
  sim; pyghmi; virtual
  exit $FAILED ;;
*)
  prepare
  exec unshare --mount --net --pid --ipc --fork --kill-child --mount-proc "$0" "$AGENT" "$OUT" inside ;;
esac
