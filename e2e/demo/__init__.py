"""The demonstration: three versions of a model, two rollouts and a stream of requests, on a real cluster."""
