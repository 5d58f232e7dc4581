"""Where measurements come from: Prometheus. Knows neither Kubernetes nor what the numbers are for."""

# What an answer of any other form, or one that is nested too deep or has too long a number, leads to.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)
