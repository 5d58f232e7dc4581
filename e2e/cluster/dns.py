"""The Service of a local cluster's DNS. CoreDNS itself is a process on the node; see programs.py."""

from e2e.cluster import layout as at
from e2e.cluster.api import Api
from e2e.cluster.layout import Link

_PORTS = [{"name": protocol.lower(), "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
_NAMESPACE = "kube-system"


def offer_dns(api: Api, link: Link) -> None:
    """Lead the cluster's DNS address to the node, as a Service: so no other can be given that address."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": _NAMESPACE},
        "spec": {"clusterIP": at.DNS_ADDRESS, "ports": _PORTS},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": _NAMESPACE,
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [link.node]}],
        "ports": _PORTS,
    }
    api.apply(f"/api/v1/namespaces/{_NAMESPACE}/services/kube-dns", service)
    api.apply(f"/apis/discovery.k8s.io/v1/namespaces/{_NAMESPACE}/endpointslices/kube-dns", endpoints)
