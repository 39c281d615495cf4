"""TrialSpecs → the objects for the cluster."""
