"""What a node's programs are told by files: containerd, its network plug-ins, kubelet and kube-proxy."""

import json
from pathlib import Path
from typing import Any, Final

import yaml

PAUSE: Final = "voicefleet.test/pause:1"
COREDNS: Final = "voicefleet.test/coredns:1"
SERVICES: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
DNS_SERVICE: Final = "10.96.0.10"
PODS: Final = "10.244.0.0/24"
SOCKET: Final = "/run/containerd/containerd.sock"

_CONTAINERD: Final = f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "CNI"
[plugins."io.containerd.metadata.v1.bolt"]
  no_sync = true
"""
_NETWORK: Final = {
    "cniVersion": "1.0.0",
    "name": "voicefleet",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    ],
}


def write_node_files(folder: Path, node: str, address: str) -> None:
    """All of them, where node_box.sh's programs look."""
    (folder / "cni").mkdir()
    (folder / "cni" / "10-voicefleet.conflist").write_text(json.dumps(_NETWORK))
    (folder / "containerd.toml").write_text(_CONTAINERD.replace("CNI", str(folder / "cni")))
    (folder / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(folder, node, address)))
    (folder / "proxy.yaml").write_text(yaml.safe_dump(_proxy(folder, node, address)))


def _kubelet(folder: Path, node: str, address: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node}",
        "failSwapOn": False,
        "syncFrequency": "5s",  # how soon pods see that a Secret has changed; a minute otherwise
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "resolvConf": str(folder / "box" / "resolv.conf"),
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "address": address,
        "healthzPort": 0,
        "tlsCertFile": str(folder / "kubelet.crt"),
        "tlsPrivateKeyFile": str(folder / "kubelet.key"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(folder / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "enforceNodeAllocatable": ["pods"],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        "nodeStatusUpdateFrequency": "4s",
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        "registerNode": True,
    }


def _proxy(folder: Path, node: str, address: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(folder / "proxy.kubeconfig")},
        "clusterCIDR": PODS,
        "hostnameOverride": node,
        "bindAddress": address,
        "healthzBindAddress": f"{address}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "min": 0},
        "nftables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
    }
