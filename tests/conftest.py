"""What all suites have in common: figures that a test prints are shown though it passed."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    printed = [r for r in terminalreporter.getreports("passed") if r.when == "call" and r.capstdout.strip()]
    if printed:
        terminalreporter.section("what tests that passed have printed")
    for report in printed:
        name = report.nodeid.rpartition("/")[2]
        for line in report.capstdout.strip().splitlines():
            terminalreporter.write_line(f"{name}: {line}")
