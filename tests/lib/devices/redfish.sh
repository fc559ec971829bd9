#!/usr/bin/env bash
# fence_picket_redfish against sushy-emulator (OpenStack's sushy-tools) with real QEMU guests under libvirtd. What is
# seen off is looked at beside the controller: the guest's process.
#
#   tests/lib/devices/redfish.sh PICKET_FENCE OUT
set -uo pipefail
AGENT=$(realpath "$1") OUT=$(mkdir -p "$2" && realpath "$2") HERE=$(dirname "$(realpath "$0")")
WORK=$OUT/redfish PART=redfish DEVICE=redfish
# shellcheck source=common.bash
. "$HERE/common.bash"
GUEST=4c4c4544-0051-3510-8052-b4c04f4a3334 OTHER=4c4c4544-0051-3510-8052-b4c04f4a3335 PORT=8443

emulator() {
  printf '%s\n' secret | htpasswd -niB picket >"$WORK/users"
  printf '%s\n' "SUSHY_EMULATOR_AUTH_FILE = '$WORK/users'" "SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'" \
    "SUSHY_EMULATOR_LISTEN_PORT = $PORT" "SUSHY_EMULATOR_SSL_CERT = '$WORK/pki/servercert.pem'" \
    "SUSHY_EMULATOR_SSL_KEY = '$WORK/pki/serverkey.pem'" "SUSHY_EMULATOR_LIBVIRT_URI = 'qemu:///system'" \
    "SUSHY_EMULATOR_STATE_DIR = '$WORK'" >"$WORK/emulator.conf"
  "$VENV/bin/sushy-emulator" --config "$WORK/emulator.conf" >"$WORK/emulator.log" 2>&1 &
  until_true curl -sf --cacert "$WORK/pki/cacert.pem" -u picket:secret "https://127.0.0.1:$PORT/redfish/v1/Systems"
}

refused() { # BASE-OPTION…: what must not switch anything
  local pin="ssl_fingerprint=$(printf '%064d' 7)" strangers="ssl_ca_file=$WORK/pki/strangercert.pem"
  local ours="ssl_ca_file=$WORK/pki/cacert.pem"
  says "wrong password" 1 "check username and password" "$@" "$ours" password=nonsense plug=guest action=off
  says "another certificate" 1 "another certificate" "$@" "$pin" plug=guest action=off power_timeout=1
  says "no authority of ours" 1 "comes from no authority" "$@" "$strangers" plug=guest action=off power_timeout=1
  says "another machine's UUID" 1 "another machine" "$@" "$ours" plug=guest uuid=$OTHER action=off
  says "a name that nobody has" 1 "no system is called geust" "$@" "$ours" plug=geust action=off
  says "in the clear against TLS" 1 "ssl=1" "$@" ssl=0 plug=guest action=off power_timeout=1
  guest_runs $GUEST; told "nothing of this switched the guest" $?
}

inside() {
  ip link set lo up
  mount -t tmpfs none /run
  empty_folders || exit 1
  export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent
  rm -rf "$WORK" && mkdir -p "$WORK"
  certificates "$WORK/pki"; told "certificates" $?
  libvirtd_here "$WORK/libvirtd.log"
  until_true virsh -q -c qemu:///system list
  guest guest $GUEST >"$WORK/guest.xml" && guest other $OTHER >"$WORK/other.xml"
  virsh -q -c qemu:///system define "$WORK/guest.xml" && virsh -q -c qemu:///system define "$WORK/other.xml" \
    && virsh -q -c qemu:///system start guest && virsh -q -c qemu:///system start other
  told "libvirtd runs two guests" $?
  emulator; told "sushy-emulator answers curl" $?
  local pin base=(ip=127.0.0.1 ipport=$PORT username=picket password=secret) ours="ssl_ca_file=$WORK/pki/cacert.pem"
  pin="ssl_fingerprint=$(openssl x509 -in "$WORK/pki/servercert.pem" -noout -fingerprint -sha256)"
  round "by authority" "guest_runs $GUEST" "${base[@]}" "$ours" plug=guest uuid=$GUEST
  round "pinned, by path" "guest_runs $GUEST" "${base[@]}" "$pin" plug=guest systems_uri=/redfish/v1/Systems/$GUEST
  says "by UUID" 0 "Status: ON" "${base[@]}" "$ours" plug=$GUEST action=status
  says "a list" 0 "$GUEST,$GUEST,ON" "${base[@]}" "$ours" action=list-status
  says "not checked, and said" 0 "WARN: ssl_insecure=1" "${base[@]}" ssl_insecure=1 plug=guest action=status
  refused "${base[@]}"
  guest_runs $OTHER; told "and nothing at all switched the other guest" $?
  exit $FAILED
}

case "${3:-}" in
inside) inside ;;
*) prepare && in_namespaces ;;
esac
