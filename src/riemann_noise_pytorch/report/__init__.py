"""From records to pages: tables for the terminal and the documentation, figures, one self-contained report.

Nothing is computed here: every number was decided where it was measured, and this package only lays it out.

>>> from riemann_noise_pytorch.report import read_comparison, write_report
"""

from riemann_noise_pytorch.report.html import write_report
from riemann_noise_pytorch.report.protocols import protocols
from riemann_noise_pytorch.report.records import Comparison, read_comparison
from riemann_noise_pytorch.report.tables import Table, difference_table, markdown, plain, summary_table

__all__ = [
    "Comparison",
    "Table",
    "difference_table",
    "markdown",
    "plain",
    "protocols",
    "read_comparison",
    "summary_table",
    "write_report",
]
