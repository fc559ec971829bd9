#!/usr/bin/env bash
# fence_picket_libvirt against two real libvirtd with real QEMU guests: by Unix socket, TLS, and virsh through a real
# sshd; a live migration; libvirt's own test driver. What is seen off is looked at beside libvirt: the guest's process.
#
#   tests/lib/devices/libvirt.sh PICKET_FENCE OUT
set -uo pipefail
AGENT=$(realpath "$1") OUT=$(mkdir -p "$2" && realpath "$2") HERE=$(dirname "$(realpath "$0")")
WORK=$OUT/libvirt PART=libvirt DEVICE=libvirt
# shellcheck source=common.bash
. "$HERE/common.bash"
GUEST=4c4c4544-0051-3510-8052-b4c04f4a3332 CREATED=4c4c4544-0051-3510-8052-b4c04f4a3333
TLS_A=16514 TLS_B=16515 SSH=2222

hypervisor() { # LETTER TLS-PORT: one more libvirtd, in a mount namespace of its own; its number goes to a file
  unshare --mount "$0" "$AGENT" "$OUT" hypervisor "$1" "$2" &
  until_true test -s "$WORK/pid-$1" && until_true virsh -q -c "$(socket "$1")" list
}

run_hypervisor() { # in that namespace
  mount -t tmpfs none /run
  empty_folders || exit 1
  echo $$ >"$WORK/pid-$1"
  export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent
  WORDS=--listen libvirtd_here "$WORK/libvirtd-$1.log" "host_uuid = \"4c4c4544-0000-4000-8000-0000000$2\"" \
    'listen_tls = 1' "tls_port = \"$2\"" 'listen_addr = "127.0.0.1"' "ca_file = \"$WORK/pki/cacert.pem\"" \
    "cert_file = \"$WORK/pki/servercert.pem\"" "key_file = \"$WORK/pki/serverkey.pem\""
  wait
}

socket() { # LETTER: its daemon by its socket, which is in another mount namespace
  echo "qemu+unix:///system?socket=/proc/$(cat "$WORK/pid-$1")/root/run/libvirt/libvirt-sock"
}

local_socket() {
  local a=$1
  round "Unix socket" "guest_runs $GUEST" "uri=$a" plug=guest
  round "Unix socket, by UUID" "guest_runs $GUEST" "uri=$a" "plug=$GUEST"
  says "a list" 0 "guest,$GUEST,ON" "uri=$a" action=list-status
  says "a name that nobody has" 1 "that is not off" "uri=$a" plug=geust action=off
  virsh -q -c "$a" suspend guest
  says "a paused guest is on" 0 "Status: ON" "uri=$a" plug=guest action=status
  says "a paused guest is destroyed" 0 "Success: Powered OFF" "uri=$a" plug=guest action=off
  ! guest_runs $GUEST; told "and is gone" $?
  guest created $CREATED >"$WORK/created.xml"
  virsh -q -c "$a" create "$WORK/created.xml"
  says "a guest that is only created: monitor tells" 1 "virsh define" "uri=$a" plug=created action=monitor
  says "a guest that is only created is never called off" 1 "that is not off" "uri=$a" plug=created action=off power_timeout=1
  ! guest_runs $CREATED; told "but it is destroyed" $?
  says "libvirt's test driver" 0 "Status: ON" "uri=test+unix:///default?${a#*\?}" plug=test action=status
}

by_tls() {
  local uri="uri=qemu://127.0.0.1:$TLS_A/system" authority="tls_ca_file=$WORK/pki/cacert.pem"
  local own=("tls_cert_file=$WORK/pki/clientcert.pem" "tls_key_file=$WORK/pki/clientkey.pem")
  round TLS "guest_runs $GUEST" "$uri" "$authority" "${own[@]}" plug=guest
  says "TLS: a stranger's certificate" 1 "certificate" "$uri" "$authority" "tls_cert_file=$WORK/pki/strangercert.pem" \
    "tls_key_file=$WORK/pki/strangerkey.pem" plug=guest action=off power_timeout=1
  says "TLS: a daemon of another authority" 1 "comes from no authority" "$uri" "tls_ca_file=$WORK/pki/strangercert.pem" \
    "${own[@]}" plug=guest action=off power_timeout=1
  guest_runs $GUEST; told "TLS: nothing of this switched the guest" $?
}

by_ssh() { # a real sshd of our own, whose root may log in with one key
  ssh-keygen -q -t ed25519 -N '' -f "$WORK/hostkey" && ssh-keygen -q -t ed25519 -N '' -f "$WORK/key"
  sed 's/^root:[^:]*:/root:*:/' /etc/shadow >"$WORK/shadow" && mount --bind "$WORK/shadow" /etc/shadow
  mkdir -p /run/sshd
  printf '%s\n' "Port $SSH" 'ListenAddress 127.0.0.1' "HostKey $WORK/hostkey" "AuthorizedKeysFile $WORK/key.pub" 'UsePAM no' \
    'StrictModes no' 'PermitRootLogin yes' "PidFile $WORK/sshd.pid" >"$WORK/sshd.conf"
  /usr/sbin/sshd -f "$WORK/sshd.conf" -E "$WORK/sshd.log"
  echo "[127.0.0.1]:$SSH $(cut -d' ' -f1,2 "$WORK/hostkey.pub")" >"$WORK/known"
  # virsh over there speaks to the first hypervisor, whose socket is in another mount namespace.
  printf '#!/bin/sh\nexec nsenter --mount=/proc/%s/ns/mnt virsh "$@"\n' "$(cat "$WORK/pid-a")" >"$WORK/virsh"
  chmod +x "$WORK/virsh"
  local there=(ip=127.0.0.1 ipport=$SSH "virsh_path=$WORK/virsh") key="identity_file=$WORK/key"
  local known="ssh_options=-o UserKnownHostsFile=$WORK/known"
  round ssh "guest_runs $GUEST" "${there[@]}" "$key" "$known" plug=guest
  says "ssh: a name that nobody has" 1 "that is not off" "${there[@]}" "$key" "$known" plug=geust action=off
  says "ssh: a key that is not known there" 1 "identity_file" "${there[@]}" "identity_file=$WORK/hostkey" "$known" \
    plug=guest action=off power_timeout=1
  says "ssh: a host that is not known here" 1 "known_hosts" "${there[@]}" "$key" plug=guest action=off power_timeout=1 \
    "ssh_options=-o UserKnownHostsFile=/dev/null"
  guest_runs $GUEST; told "ssh: nothing of this switched the guest" $?
}

two_hypervisors() {
  local a=$1 b=$2
  local both="uri=$a,$b" dead="uri=$a,$b,qemu+unix:///system?socket=$WORK/nobody"
  virsh -q -c "$a" migrate --live --persistent guest "$b" tcp://127.0.0.1 >"$WORK/migrate.log" 2>&1
  told "a live migration from one hypervisor to the other" $?
  says "migrated: on" 0 "Status: ON" "$both" plug=guest action=status
  says "migrated: the old host alone would say off, which is why all are named" 2 "Status: OFF" "uri=$a" plug=guest action=status
  says "migrated: off" 0 "Success: Powered OFF" "$both" plug=guest action=off
  ! guest_runs $GUEST; told "migrated: off was true" $?
  says "migrated: on at one of them" 0 "Success: Powered ON" "$both" plug=guest action=on
  says "one is silent: on" 0 "Status: ON" "$dead" plug=guest action=status
  says "one is silent: never off" 1 "nobody" "$dead" plug=guest action=off power_timeout=1
  ! guest_runs $GUEST; told "one is silent: but the guest was destroyed" $?
  says "one is silent: not started" 1 "not started" "$dead" plug=guest action=on power_timeout=1 retry_on=0
  ! guest_runs $GUEST; told "one is silent: and does not run" $?
}

inside() {
  ip link set lo up
  mount -t tmpfs none /run
  rm -rf "$WORK" && mkdir -p "$WORK"
  certificates "$WORK/pki"; told "certificates" $?
  hypervisor a $TLS_A && hypervisor b $TLS_B; told "two libvirtd" $?
  local a b
  a=$(socket a) b=$(socket b)
  guest guest $GUEST >"$WORK/guest.xml"
  virsh -q -c "$a" define "$WORK/guest.xml" && virsh -q -c "$a" start guest; told "a guest" $?
  local_socket "$a"
  virsh -q -c "$a" start guest
  by_tls
  by_ssh
  two_hypervisors "$a" "$b"
  exit $FAILED
}

case "${3:-}" in
hypervisor) run_hypervisor "$4" "$5" ;;
inside) inside ;;
*) prepare && in_namespaces ;;
esac
