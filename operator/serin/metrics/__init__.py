"""Where measurements come from: Prometheus. Knows neither Kubernetes nor what the numbers are for."""
