"""Audits: gaps between groups of users, items and providers; exposure; popularity."""

from causalrec.audits._audit import AuditResult, audit
from causalrec.audits._browsing import browsing_weight
from causalrec.audits._gini import gini

__all__ = ["AuditResult", "audit", "browsing_weight", "gini"]
