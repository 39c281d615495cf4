"""The verbs, one file each: they wire the pure core to stores and back ends."""
