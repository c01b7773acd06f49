"""Modifiers: what changes the view of any strategy. `MODIFIERS` names those of wsmesh."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from balancers.interface import ModifierSpec
from balancers.modifiers.health import HealthSpec
from balancers.modifiers.outlier_ejection import OutlierEjectionSpec
from balancers.modifiers.panic import PanicSpec
from balancers.modifiers.slow_start import SlowStartSpec
from balancers.modifiers.zone import ZoneSpec

MODIFIERS: Mapping[str, type[ModifierSpec]] = MappingProxyType(
    {
        "health": HealthSpec,
        "outlier_ejection": OutlierEjectionSpec,
        "panic": PanicSpec,
        "slow_start": SlowStartSpec,
        "zone": ZoneSpec,
    }
)

__all__ = [
    "MODIFIERS",
    "HealthSpec",
    "OutlierEjectionSpec",
    "PanicSpec",
    "SlowStartSpec",
    "ZoneSpec",
]
