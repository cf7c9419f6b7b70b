"""The service: a loaded model (`slot`, `core`), the protocols that speak for it (`codecs`), pages for people."""

import os

ADDED_UP = "PROMETHEUS_MULTIPROC_DIR"
"""Prometheus' variable for the folder in which workers add up their figures."""
OWN_FIGURES = "SLUICE_FIGURES"
"""Variable that names the folder of this service, for its workers."""

if OWN_FIGURES in os.environ:  # before any module of this package counts anything
    os.environ[ADDED_UP] = os.environ[OWN_FIGURES]
