"""The stack half of the end-to-end tests: what a platform team would already have, on any Kubernetes.

Gateway API with Contour and Envoy, Prometheus, KServe, an S3 gateway, MLflow, and the images of all of them. It is
given a cluster (a kubeconfig and a way to load images) and must not know which kind of cluster that is, nor anything of
the operator.
"""
