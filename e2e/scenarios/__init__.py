"""What must hold on a real cluster, checked by requests through the gateway and by the status."""
