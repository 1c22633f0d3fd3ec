"""Measurements, each beside its yardstick in the same run. No figure is promised, all are printed."""
