"""Audits: gaps between groups of users, items and providers; exposure; popularity."""

from causalrec.audits._audit import AuditResult, audit
from causalrec.audits._browsing import browsing_weight
from causalrec.audits._gini import gini
from causalrec.audits._impact_check import check_impact_ratios
from causalrec.audits._impact_ratios import impact_ratio_table

__all__ = [
    "AuditResult",
    "audit",
    "browsing_weight",
    "check_impact_ratios",
    "gini",
    "impact_ratio_table",
]
