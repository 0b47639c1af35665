"""From records to pages: tables for the terminal and the documentation, figures, self-contained reports.

Nothing is computed here: every number was decided where it was measured, and this package only lays it out.

>>> from riemann_noise_pytorch.report import read_comparison, write_report
"""

from riemann_noise_pytorch.report.diagnosis_page import write_diagnosis_page
from riemann_noise_pytorch.report.diagnosis_records import DiagnosisRecords, read_diagnosis
from riemann_noise_pytorch.report.html import write_report
from riemann_noise_pytorch.report.inversion_page import write_inversion_page
from riemann_noise_pytorch.report.inversion_records import InversionRecords, read_inversion
from riemann_noise_pytorch.report.protocols import protocols
from riemann_noise_pytorch.report.records import Comparison, read_comparison
from riemann_noise_pytorch.report.tables import Table, difference_table, markdown, plain, summary_table

__all__ = [
    "Comparison",
    "DiagnosisRecords",
    "InversionRecords",
    "Table",
    "difference_table",
    "markdown",
    "plain",
    "protocols",
    "read_comparison",
    "read_diagnosis",
    "read_inversion",
    "summary_table",
    "write_diagnosis_page",
    "write_inversion_page",
    "write_report",
]
