"""The gate's statistics: intervals, paired bounds, judge correction, planning."""
