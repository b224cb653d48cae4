#!/bin/bash
# PID 1 of a node: makes a world of mounts in which containerd and kubelet find what they expect and the machine is left
# as it is, and then only reaps. Its end is the end of all that runs in it.
#   node_box.sh FOLDER NODE PAUSE ADDRESS PODS     in namespaces of its own: mount, pid, uts, ipc, net
set -euo pipefail
folder=$1 node=$2 pause=$3 address=$4 pods=$5
box=$folder/box

hostname "$node"
# In memory: an overlay takes no overlay as its upper folder, and nothing is left behind.
mkdir -p "$box" "$folder/log"
mount -t tmpfs -o size=6g tmpfs "$box"
mkdir -p "$box"/{run,kubelet,containerd,cgroup,sysctl,etc/up,etc/work,lib/up,lib/work}
printf '# no resolver outside of the cluster\n' >"$box/resolv.conf"
printf '127.0.0.1 localhost\n%s %s\n' "$address" "$node" >"$box/hosts"

mount -t overlay vf-etc -o "lowerdir=/etc,upperdir=$box/etc/up,workdir=$box/etc/work" /etc
mount --bind "$box/resolv.conf" /etc/resolv.conf
mount --bind "$box/hosts" /etc/hosts
mount -t overlay vf-lib -o "lowerdir=/var/lib,upperdir=$box/lib/up,workdir=$box/lib/work" /var/lib
mkdir -p /var/lib/kubelet /var/lib/containerd /var/lib/cni /etc/cni/net.d

# /sys of this network namespace, with the machine's cgroups.
mount --rbind /sys/fs/cgroup "$box/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$box/cgroup" /sys/fs/cgroup
umount -l "$box/cgroup"
mount -t bpf bpf /sys/fs/bpf

# Pods reach each other and the node as they are, and the outside with the node's address.
nft -f - <<RULES
table ip vfmasq { chain post { type nat hook postrouting priority 110
  ip saddr $pods ip daddr != { $pods, 198.18.0.0/24 } oifname "eth0" masquerade; }; }
RULES

mount --bind "$box/kubelet" /var/lib/kubelet
mount --bind "$box/containerd" /var/lib/containerd
mount --bind "$folder/log" /var/log
mount --bind "$box/run" /run
mkdir -p /run/containerd /run/netns

# kubelet would write these, which are the machine's: it finds the values that it wants in plain files instead.
for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=$box/sysctl/${pair//[\/=]/_}
  echo "${pair#*=}" >"$file"
  mount --bind "$file" "/proc/sys/${pair%=*}"
done
mount --make-rshared /

# One cgroup for all of the node; a pod's are below it.
if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
  mkdir -p "/sys/fs/cgroup/$node"
  tr ' ' '\n' </sys/fs/cgroup/cgroup.controllers | sed 's/^/+/' | while read -r controller; do
    echo "$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
    echo "$controller" >"/sys/fs/cgroup/$node/cgroup.subtree_control" 2>/dev/null || true
  done
  echo 2000 >"/sys/fs/cgroup/$node/cpu.weight" 2>/dev/null || true
else
  for controller in /sys/fs/cgroup/*/; do
    [[ $controller == */unified/ ]] || mkdir -p "$controller$node"
  done
  # A group counts as one process against each other one of the machine, and here it is a whole node.
  echo 20480 >"/sys/fs/cgroup/cpu/$node/cpu.shares" 2>/dev/null || true
  for file in cpus mems; do
    cat /sys/fs/cgroup/cpuset/cpuset.$file >"/sys/fs/cgroup/cpuset/$node/cpuset.$file"
  done
fi

touch "$folder/box-ready"
exec "$pause"
