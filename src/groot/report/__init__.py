"""One HTML file of a run, to read offline or to send to someone: `write_report(folder)`."""

from groot.report.page import write_report

__all__ = ["write_report"]
