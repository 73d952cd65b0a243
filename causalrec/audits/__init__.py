"""Audits: gaps between groups of users, items and providers; exposure; popularity; pathways."""

from causalrec.audits._audit import AuditResult, audit
from causalrec.audits._browsing import browsing_weight
from causalrec.audits._cascade import Cascade
from causalrec.audits._closed_loop import Retrained, simulate_feedback
from causalrec.audits._decompose_gap import DecompositionResult, decompose_gap
from causalrec.audits._decomposition_graph import identify_gap
from causalrec.audits._gini import gini
from causalrec.audits._impact_check import check_impact_ratios
from causalrec.audits._impact_ratios import impact_ratio_table
from causalrec.audits._mitigations import compare_mitigations
from causalrec.audits._rerank_calibrated import CalibratedReranker
from causalrec.audits._rerank_exposure import ExposureReranker

__all__ = [
    "AuditResult",
    "CalibratedReranker",
    "Cascade",
    "DecompositionResult",
    "ExposureReranker",
    "Retrained",
    "audit",
    "browsing_weight",
    "check_impact_ratios",
    "compare_mitigations",
    "decompose_gap",
    "gini",
    "identify_gap",
    "impact_ratio_table",
    "simulate_feedback",
]
