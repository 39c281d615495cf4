"""Plan → running trials. One package per place where trials can run; none knows another."""
