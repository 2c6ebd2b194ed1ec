"""Grafana: four dashboards, each for one question."""
