"""Prometheus: what it scrapes, records and alerts on."""
