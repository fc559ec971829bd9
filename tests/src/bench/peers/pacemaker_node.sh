# A machine of the Pacemaker cluster: what must be its own is mounted over, then its daemons run until they are
# killed with this namespace. Arguments: the number of the node, the directory that is shared with the bench.
set -u
number=$1 shared=$2
hostname "p$number"
mount -t proc proc /proc
mount -t tmpfs none /run
[ -L /var/run ] || mount -t tmpfs none /var/run
mkdir -p /run/lock /run/crm /run/resource-agents /run/corosync-qdevice
chown hacluster:haclient /run/crm
mount -t tmpfs none /dev/shm
mkdir /dev/shm/upper /dev/shm/work
mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=/dev/shm/upper,workdir=/dev/shm/work /usr/sbin || exit 1
cp "$shared/fence_bench" /usr/sbin/fence_bench
for dir in /var/lib/corosync /var/lib/pacemaker /var/log /etc/corosync /etc/pacemaker; do
  mkdir -p "$dir"
  mount -t tmpfs none "$dir"
done
mkdir -p /var/log/pacemaker /var/log/corosync /var/lib/pacemaker/cib /var/lib/pacemaker/pengine \
  /var/lib/pacemaker/cores /var/lib/pacemaker/blackbox
chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker
chmod 750 /var/lib/pacemaker/*
cp "$shared/corosync.conf" /etc/corosync/
corosync -f &
until corosync-quorumtool -s >/dev/null 2>&1 || [ $? = 2 ]; do :; done
corosync-qdevice -f &
pacemakerd -f &
wait
