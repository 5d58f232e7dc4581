"""The programs of a local cluster: each one's command line and configuration. Pure text; starts nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e import tools
from e2e.cluster import layout as at
from e2e.cluster.layout import Layout
from e2e.cluster.layout import Link

# Debian's place, Fedora's, and that of the plugins' own releases.
_CNI_PLUGINS = (Path("/usr/lib/cni"), Path("/usr/libexec/cni"), Path("/opt/cni/bin"))

PAUSE_IMAGE = "localhost/serin-pause:1"
# An API server that has just been given KServe's CRDs spends a third of its time collecting garbage, at Go's own
# setting. For 400 MB more, 11 seconds of processor until it is ready become 8.
GO = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Program:
    """A process to be kept running."""

    name: str
    argv: list[str]
    reads: tuple[Path, ...] = ()
    """Configuration files: it is started anew when they change."""


def configuration(layout: Layout, link: Link) -> dict[Path, str]:
    """Every configuration file with its content. Certificates and kubeconfigs are made elsewhere."""
    return {
        layout.config / "audit.json": json.dumps(AUDIT_POLICY),
        layout.config / "containerd.toml": _containerd(layout),
        layout.config / "cni" / "10-pods.conflist": json.dumps(_cni(layout)),
        layout.config / "kubelet.json": json.dumps(_kubelet(layout, link)),
        layout.config / "proxy.json": json.dumps(_proxy(layout, link)),
        layout.config / "Corefile": _corefile(layout, link),
        layout.config / "resolv.conf": f"nameserver {at.DNS_ADDRESS}\n",
    }


def control_plane(layout: Layout, link: Link) -> Iterator[Program]:
    """etcd, the API server and what works on it, in the order of their start."""
    pki, config = layout.pki, layout.config
    yield Program(
        "etcd",
        [
            str(tools.binary("etcd")),
            f"--data-dir={layout.state / 'etcd'}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
    )
    yield Program(
        "apiserver",
        [
            str(tools.binary("kube-apiserver")),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--secure-port={at.API_PORT}",
            "--bind-address=0.0.0.0",
            f"--advertise-address={link.node}",
            "--allow-privileged=true",
            "--enable-aggregator-routing=true",
            # Without it `kubectl logs` looks the node's name up in DNS.
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
            *apiserver_arguments(pki, config / "audit.json", layout.audit_log),
        ],
        (config / "audit.json",),
    )
    yield Program(
        "controller-manager",
        [
            str(tools.binary("kube-controller-manager")),
            f"--kubeconfig={config / 'controller-manager.kubeconfig'}",
            "--bind-address=127.0.0.1",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={at.POD_CIDR}",
            *controller_manager_arguments(pki),
        ],
    )
    kubeconfig = config / "scheduler.kubeconfig"
    yield Program(
        "scheduler",
        [
            str(tools.binary("kube-scheduler")),
            *(f"--{prefix}kubeconfig={kubeconfig}" for prefix in ("", "authentication-", "authorization-")),
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
    )


def node(layout: Layout, link: Link) -> Iterator[Program]:
    """containerd and what makes a node of it, in the order of their start."""
    config = layout.config
    yield Program(
        "kubelet",
        [
            str(tools.binary("kubelet")),
            f"--config={config / 'kubelet.json'}",
            f"--kubeconfig={config / 'kubelet.kubeconfig'}",
            f"--hostname-override={at.NODE}",
            f"--node-ip={link.node}",
            f"--root-dir={layout.state / 'kubelet'}",
        ],
        (config / "kubelet.json",),
    )
    # Its first "list table ... No such file" errors are harmless.
    yield Program(
        "proxy", [str(tools.binary("kube-proxy")), f"--config={config / 'proxy.json'}"], (config / "proxy.json",)
    )
    yield Program("coredns", [str(tools.binary("coredns")), f"-conf={config / 'Corefile'}"], (config / "Corefile",))


def containerd(layout: Layout) -> Program:
    """The container runtime, on its own because images are imported before the kubelet starts."""
    file = layout.config / "containerd.toml"
    return Program("containerd", ["containerd", f"--config={file}"], (file,))


def cni_plugins() -> Path | None:
    """Where the distribution has put the CNI plugins."""
    return next((folder for folder in _CNI_PLUGINS if (folder / "ptp").exists()), None)


def apiserver_arguments(pki: Path, audit_policy: Path, audit_log: Path) -> list[str]:
    """What every API server here has in common, with and without nodes."""
    return [
        f"--service-cluster-ip-range={at.SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        f"--audit-policy-file={audit_policy}",
        f"--audit-log-path={audit_log}",
        # MiB. By default it begins a new file after 100, which tests reach: who reads on would miss what follows.
        "--audit-log-maxsize=10000",
    ]


def controller_manager_arguments(pki: Path) -> list[str]:
    """What every controller manager here has in common."""
    return [
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'service-account.key'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
    ]


def _containerd(layout: Layout) -> str:
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc dies of the sandbox's negative score, saying only
    # "can't get final child's PID from pipe: EOF".
    return f"""\
version = 2
root = "{layout.images}"
state = "{layout.run / "containerd"}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{layout.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.state / "containerd-opt"}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins()}"
    conf_dir = "{layout.config / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def _cni(layout: Layout) -> dict[str, Any]:
    ipam = {
        "type": "host-local",
        "dataDir": str(layout.state / "cni"),
        "ranges": [[{"subnet": at.NODE_POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    # Not the plugin `bridge`: what goes from pod to pod over one passes by kube-proxy's rules only where the module
    # br_netfilter is loaded, and an answer that does not pass by them again is taken for nobody's.
    link = {"type": "ptp", "ipMasq": True}
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{**link, "ipam": ipam}, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def _kubelet(layout: Layout, link: Link) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet-server.key"),
        "healthzBindAddress": link.node,
        "healthzPort": at.KUBELET_HEALTH_PORT,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failCgroupV1": False,  # newer kubelets refuse v1 unless told
        "failSwapOn": False,
        "clusterDNS": [at.DNS_ADDRESS],
        "clusterDomain": at.DOMAIN,
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "resolvConf": str(layout.config / "resolv.conf"),
        "podLogsDir": str(layout.log / "pods"),
        # Somebody's laptop is often nearly full; images are ours alone and must not be collected.
        "evictionHard": {"imagefs.available": "1%", "nodefs.available": "1%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "maxPods": 200,
        "serializeImagePulls": False,
    }


def _proxy(layout: Layout, link: Link) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(layout.config / "proxy.kubeconfig")},
        "clusterCIDR": at.POD_CIDR,
        "hostnameOverride": at.NODE,
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": f"{link.node}:{at.PROXY_HEALTH_PORT}",
        # The table of connections belongs to the whole machine: leave its size alone.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _corefile(layout: Layout, link: Link) -> str:
    # One option a line, or the plugin does not see them. No `forward`: outside names are refused, not looked up.
    return f"""\
.:53 {{
  bind {link.node}
  errors
  ready {link.node}:{at.DNS_READY_PORT}
  kubernetes {at.DOMAIN} in-addr.arpa {{
    kubeconfig "{layout.config / "coredns.kubeconfig"}" serin
    ttl 5
  }}
  cache 5
}}
"""
