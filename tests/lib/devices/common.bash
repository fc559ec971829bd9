# What the parts share; sourced by them. Everything here runs in namespaces of its own: libvirt's and the run-time
# folders are empty ones, traffic stays on that loopback interface, and what is left running ends with them.
#
# The caller has set AGENT, OUT, WORK, HERE, PART (its name), DEVICE (the agent's).
VENV=$OUT/venv
LIMIT_S=30 # for anything that is waited for: starting libvirtd takes a few seconds on a busy machine
FAILED=0

left_out() { echo "LEFT OUT: $PART: $1"; exit 0; }

prepare() {
  local why
  why=$("$HERE/prepare" "$OUT") || left_out "$why"
}

in_namespaces() { exec unshare --mount --net --pid --ipc --fork --kill-child --mount-proc "$0" "$AGENT" "$OUT" inside; }

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

says() { # DESCRIPTION CODE TEXT OPTION…: what the agent says with these options
  local what=$1 code=$2 text=$3 said got
  shift 3
  said=$({ printf '%s\n' login_timeout=20 shell_timeout=20 "$@" | "$AGENT" "$DEVICE"; } 2>&1)
  got=$?
  [ "$got" = "$code" ] && [[ $said == *"$text"* ]]
  told "$what" $?
  [ "$got" = "$code" ] && [[ $said == *"$text"* ]] || echo "        said ($got): $said"
}

round() { # NAME ALIVE OPTION…: all actions; ALIVE looks at the machine itself
  local name=$1 alive=$2
  shift 2
  says "$name: status is on" 0 "Status: ON" "$@" action=status
  says "$name: off" 0 "Success: Powered OFF" "$@" action=off
  ! $alive; told "$name: off was true: the machine is gone" $?
  says "$name: off again" 0 "Success: Already OFF" "$@" action=off
  says "$name: status is off" 2 "Status: OFF" "$@" action=status
  says "$name: on" 0 "Success: Powered ON" "$@" action=on
  $alive; told "$name: on was true: the machine runs" $?
  says "$name: reboot" 0 "Success: Rebooted" "$@" action=reboot
  $alive; told "$name: the machine runs after the reboot" $?
  says "$name: monitor" 0 "" "$@" action=monitor
}

empty_folders() { # libvirt's own, in this mount namespace
  local dir
  for dir in /run/libvirt /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p $dir && mount -t tmpfs none $dir || return 1
  done
  mkdir -p /var/lib/libvirt/qemu
  printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'cgroup_controllers = [ ]' \
    'namespaces = [ ]' 'stdio_handler = "file"' 'dynamic_ownership = 0' 'remember_owner = 0' >/etc/libvirt/qemu.conf
}

libvirtd_here() { # LOG CONFIG-LINE…: a daemon for this mount namespace; WORDS, if set, are its arguments
  local log=$1
  shift
  printf '%s\n' 'auth_unix_rw = "none"' 'unix_sock_group = "root"' "$@" >/etc/libvirt/libvirtd.conf
  libvirtd ${WORDS:-} >"$log" 2>&1 &
}

guest() { # NAME UUID: the definition of a guest without a disk, which looks for one for ever
  cat <<XML
<domain type='qemu'><name>$1</name><uuid>$2</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><memballoon model='none'/></devices></domain>
XML
}

guest_runs() { # UUID: by its own process, not by what libvirt says
  local pid
  for pid in /proc/[0-9]*; do
    # A dead process that nobody has reaped yet has no command line.
    { tr '\0' ' ' <"$pid/cmdline"; } 2>/dev/null | grep -q -- "^/usr/bin/qemu-system.* -uuid $1 " && return 0
  done
  return 1
}

certificates() { # DIR: an authority, a server's certificate for 127.0.0.1 and localhost, a client's, a stranger's
  local dir=$1 name key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
  mkdir -p "$dir"
  {
    # shellcheck disable=SC2086
    openssl req -x509 $key -nodes -days 30 -subj /CN=authority -keyout "$dir/cakey.pem" -out "$dir/cacert.pem" \
      -addext keyUsage=critical,keyCertSign
    for name in server client; do
      openssl req $key -nodes -subj "/CN=$name" -keyout "$dir/${name}key.pem" -out "$dir/$name.csr"
      printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=%sAuth\n' $name >"$dir/$name.ext"
      openssl x509 -req -days 30 -in "$dir/$name.csr" -CA "$dir/cacert.pem" -CAkey "$dir/cakey.pem" -CAcreateserial \
        -out "$dir/${name}cert.pem" -extfile "$dir/$name.ext"
    done
    openssl req -x509 $key -nodes -days 30 -subj /CN=stranger -keyout "$dir/strangerkey.pem" \
      -out "$dir/strangercert.pem"
  } >"$dir/openssl.log" 2>&1 && chmod 600 "$dir"/*key.pem
}
