# The first process of a node's own process and mount namespaces: `inside.sh FOLDER MARK`. When it is killed, the kernel
# kills every other process in there, and undoes every mount.
set -e
folder=$1
mark=$2

# Where containerd keeps sockets and network namespaces whatever its configuration says.
mount -t tmpfs -o mode=755 kgen /run
mkdir -p /var/lib/cni "$folder/cni-state"
mount --bind "$folder/cni-state" /var/lib/cni

# A kubelet sets these for the whole machine; here it finds them set.
setting() {
    if [ -e "/proc/sys/$1" ]; then
        mkdir -p "$folder/kernel"
        echo "$2" > "$folder/kernel/${1##*/}"
        mount --bind "$folder/kernel/${1##*/}" "/proc/sys/$1"
    fi
}
setting vm/overcommit_memory 1
setting vm/panic_on_oom 0
setting kernel/panic 10
setting kernel/panic_on_oops 1
setting kernel/keys/root_maxkeys 1000000
setting kernel/keys/root_maxbytes 25000000

# The parent of all pods' cgroups; removed from outside, by its name.
for controller in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs; do
    [ ! -e "$controller" ] || mkdir -p "${controller%/*}/$mark"
done

trap '' CHLD # the kernel reaps whatever is orphaned
: > "$folder/inside"
exec sleep infinity
