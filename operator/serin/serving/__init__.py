"""From a plan to manifests and from live objects back to a state: one backend a file, all of them pure."""
