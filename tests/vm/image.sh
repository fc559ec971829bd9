#!/usr/bin/env bash
# The guests' kernel and initial file system, from Debian's packages alone: they are downloaded and unpacked, nothing is
# installed here.
#
#   tests/vm/image.sh OUT      writes OUT/vmlinux and OUT/initrd.img; what is there already is kept
#
# The kernel is Debian's own with its own DRBD module, uncompressed: under emulation that saves seconds a boot.
set -euo pipefail
HERE=$(dirname "$(realpath "$0")")
OUT=$(mkdir -p "$1" && realpath "$1")
DEBS=$OUT/debs UNPACKED=$OUT/unpacked ROOT=$OUT/root
PACKAGES="busybox-static drbd-utils e2fsprogs iproute2 kmod libkmod2 drbd-utils"
# For the agents of a file system and an address, which also want awk by its GNU name; and install, for the guide.
PACKAGES="$PACKAGES coreutils resource-agents psmisc util-linux libplumb2 libpils2 libnet1 libuuid1 libltdl7 libglib2.0-0 libpcre2-8-0"
PACKAGES="$PACKAGES libmount1 libblkid1 libselinux1"
AGENTS="IPaddr2 Filesystem .ocf-binaries .ocf-directories .ocf-returncodes .ocf-shellfuncs"
MODULES="virtio_pci virtio_blk virtio_net virtio_console virtio-rng ext4 drbd softdog i6300esb crc32c_generic crc32c-intel"
MODULES="$MODULES crct10dif_pclmul failover net_failover dm-mod dm-flakey"
PROGRAMS="sbin/drbdadm sbin/drbdsetup sbin/drbdmeta sbin/mke2fs sbin/e2fsck sbin/dmsetup sbin/tc bin/ip"

download() { # each package once, by apt's own verified download
  local package
  mkdir -p "$DEBS" && chmod 1777 "$DEBS"
  for package; do
    compgen -G "$DEBS/${package}_*.deb" >/dev/null || (cd "$DEBS" && apt-get download -q "$package" >/dev/null)
  done
}

unpack() {
  mkdir -p "$UNPACKED"
  local package
  for package; do dpkg -x "$DEBS/${package}"_*.deb "$UNPACKED"; done
}

put() { # FILE FOLDER: a program and the libraries that it needs
  cp -L "$1" "$ROOT/$2/"
  local library
  ldd "$1" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | while read -r library; do
    [ -e "$ROOT/lib/x86_64-linux-gnu/${library##*/}" ] || cp -L "$library" "$ROOT/lib/x86_64-linux-gnu/"
  done
}

programs() {
  local applet program
  cp "$BUSYBOX" "$ROOT/bin/busybox"
  for applet in $("$BUSYBOX" --list); do
    case $applet in busybox | sh | ip | insmod | modprobe | lsmod | depmod | rmmod | modinfo) ;;
    *) ln -sf /bin/busybox "$ROOT/bin/$applet" ;;
    esac
  done
  cp -L /lib64/ld-linux-x86-64.so.2 "$ROOT/lib64/"
  for program in libc.so.6 libm.so.6 libgcc_s.so.1; do cp -L "/lib/x86_64-linux-gnu/$program" "$ROOT/lib/x86_64-linux-gnu/"; done
  for program in $PROGRAMS; do [ ! -e "$UNPACKED/$program" ] || put "$UNPACKED/$program" sbin; done
  put "$UNPACKED/bin/kmod" bin
  for program in modprobe insmod lsmod rmmod depmod modinfo; do ln -sf /bin/kmod "$ROOT/sbin/$program"; done
  ln -sf mke2fs "$ROOT/sbin/mkfs.ext4"
  # Not busybox's shell: that would prefer its own applets to the programs above.
  put /bin/dash bin && ln -s dash "$ROOT/bin/sh"
  for program in "$UNPACKED"/lib/drbd/drbd*-84; do put "$program" lib/drbd; done
  if compgen -G "$UNPACKED/usr/lib/drbd/*" >/dev/null; then cp -a "$UNPACKED"/usr/lib/drbd/* "$ROOT/usr/lib/drbd/"; fi
}

agents() {
  local from=$UNPACKED/usr/lib/ocf to=$ROOT/usr/lib/ocf agent
  mkdir -p "$to/resource.d/heartbeat" "$ROOT/usr/libexec/heartbeat"
  cp -a "$from/lib" "$to/"
  for agent in $AGENTS; do cp -a "$from/resource.d/heartbeat/$agent" "$to/resource.d/heartbeat/"; done
  put "$UNPACKED/usr/libexec/heartbeat/send_arp" usr/libexec/heartbeat
  put "$(first "$UNPACKED"/{usr/,}bin/fuser)" bin && put "$(first "$UNPACKED"/{usr/,}sbin/fsck)" sbin
  put "$UNPACKED/usr/bin/install" bin
  ln -sf /bin/busybox "$ROOT/bin/gawk"
}

first() { # FILE…: the first that is there
  local file
  for file; do [ ! -e "$file" ] || { echo "$file"; return; }; done
}

modules() { # with everything that they depend on
  local from=$UNPACKED/lib/modules/$RELEASE to=$ROOT/lib/modules/$RELEASE name line file
  [ -f "$from/modules.dep" ] || "$BUSYBOX" depmod -b "$UNPACKED" "$RELEASE"
  for name in $MODULES; do
    line=$(grep -E "/${name//[-_]/[-_]}\.ko(\.xz)?:" "$from/modules.dep" || true)
    [ -n "$line" ] || { echo "the kernel has no module $name"; continue; }
    for file in ${line/:/ }; do mkdir -p "$to/$(dirname "$file")" && cp "$from/$file" "$to/$file"; done
  done
  cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/"
  ln -sf kmod "$UNPACKED/bin/depmod" && "$UNPACKED/bin/depmod" -b "$ROOT" "$RELEASE"
}

kernel() { # the ELF kernel out of its compressed image
  python3 - "$UNPACKED/boot/vmlinuz-$RELEASE" "$OUT/vmlinux" <<'P'
import lzma, sys
image, at = open(sys.argv[1], "rb").read(), 0
while (at := image.find(b"\xfd7zXZ\x00", at)) >= 0:
    try:
        kernel = lzma.LZMADecompressor().decompress(image[at:])
    except lzma.LZMAError:
        kernel = b""
    if kernel[:4] == b"\x7fELF":
        open(sys.argv[2], "wb").write(kernel)
        sys.exit(0)
    at += 1
sys.exit("the kernel's image holds no compressed kernel")
P
}

main() {
  KERNEL=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
  RELEASE=${KERNEL#linux-image-}
  [ -n "$RELEASE" ] || { echo "apt knows no linux-image-amd64; run: apt-get update"; exit 1; }
  BUSYBOX=$UNPACKED/bin/busybox
  # shellcheck disable=SC2086
  download "$KERNEL" $PACKAGES
  if [ "$(cat "$UNPACKED/packages" 2>/dev/null)" != "$KERNEL $PACKAGES" ]; then
    # shellcheck disable=SC2086
    unpack "$KERNEL" $PACKAGES
    echo "$KERNEL $PACKAGES" >"$UNPACKED/packages"
  fi
  rm -rf "$ROOT"
  mkdir -p "$ROOT"/{bin,sbin,lib/drbd,lib64,lib/x86_64-linux-gnu,lib/modules/"$RELEASE",usr/bin,usr/sbin,usr/lib/drbd} \
    "$ROOT"/{usr/local/sbin,etc/drbd.d,proc,sys,dev,run,tmp,root,mnt/data,var/lib/drbd}
  export LD_LIBRARY_PATH=$UNPACKED/lib/x86_64-linux-gnu:$UNPACKED/usr/lib/x86_64-linux-gnu:$UNPACKED/usr/lib
  programs
  agents
  modules
  cp -a "$HERE/guest/." "$ROOT/"
  (cd "$ROOT" && find . | "$BUSYBOX" cpio -o -H newc 2>/dev/null) >"$OUT/initrd.img"
  [ -s "$OUT/vmlinux" ] || kernel
}

main
