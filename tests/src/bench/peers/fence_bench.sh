#!/bin/bash
# The power switch of the bench's machines, for Pacemaker: asks the bench by a pipe and waits for its answer.
shared=@SHARED@
action= port= node=
while read -r -t 1 line; do
  case "$line" in
  action=*) action=${line#*=} ;;
  port=* | plug=*) port=${line#*=} ;;
  nodename=*) node=${line#*=} ;;
  esac
done
[ -n "$action" ] || action=metadata
case "$action" in
metadata)
  cat <<'X'
<?xml version="1.0" ?>
<resource-agent name="fence_bench" shortdesc="power switch of the bench"><longdesc>Asks the bench.</longdesc>
<parameters><parameter name="port" unique="0" required="0"><content type="string"/><shortdesc lang="en">machine</shortdesc></parameter></parameters>
<actions><action name="off"/><action name="reboot"/><action name="status"/><action name="list"/><action name="monitor"/><action name="metadata"/></actions>
</resource-agent>
X
  ;;
list) printf 'p1,\np2,\n' ;;
off | reboot)
  echo "${port:-$node}" >"$shared/switch"
  # The bench ends the pipe's other end when the machine is off.
  read -r answer <"$shared/${port:-$node}.answer" && [ "$answer" = off ]
  ;;
*) exit 0 ;;
esac
