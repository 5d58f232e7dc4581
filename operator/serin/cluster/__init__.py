"""The only user of the kubernetes client: requests to the API server, and what they may answer."""
