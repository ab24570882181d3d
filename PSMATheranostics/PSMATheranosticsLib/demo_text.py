"""The comparison of found and planted as a table to read."""

from __future__ import annotations

from .demo_records import Counts, DemoComparison, LesionRow


def comparison_text(comparison: DemoComparison) -> str:
    """All visits, lesions, links and disagreements, fixed-width."""
    lines = [f"Found against planted in the synthetic patient {comparison.patient_id}", ""]
    lines += _visit_table(comparison)
    lines += ["", *_lesion_table(comparison.rows)]
    lines += [
        "",
        f"Lesions   {_counts(comparison.lesions)}",
        f"Links     {_counts(comparison.all_links)}",
        *(f"  visits {a} to {b}  {_counts(counts)}" for (a, b), counts in comparison.links.items()),
        f"Statuses  {comparison.status_right} of {comparison.status_total} right ({comparison.status_accuracy:.1%})",
        "",
    ]
    if comparison.all_found:
        lines.append("Everything that was planted was found, and nothing else.")
    else:
        lines.append(f"{len(comparison.disagreements)} disagreements:")
        lines += [f"  {line}" for line in comparison.disagreements]
    lines += [
        "",
        "Planted mL: true shape. Expected mL: SUV 3 or more in the image without noise, which the blur makes larger.",
    ]
    return "\n".join(lines)


def _visit_table(comparison: DemoComparison) -> list[str]:
    lines = ["Visit  Date        Lesions planted/found  PSMA-TV planted/expected/measured [mL]  New planted/found"]
    first = comparison.visits[0]
    for row in comparison.visits:
        volumes = f"{row.true_tv_ml:.1f} / {row.expected_tv_ml:.1f} / {row.measured_tv_ml:.1f}"
        change = ""
        if row.visit and first.expected_tv_ml > 0 and first.measured_tv_ml > 0:
            expected = row.expected_tv_ml / first.expected_tv_ml - 1.0
            measured = row.measured_tv_ml / first.measured_tv_ml - 1.0
            change = f"  expected {expected:+.0%}, measured {measured:+.0%} of baseline"
        new = f"{row.planted_new} / {row.found_new}" if row.visit else "-"
        lines.append(
            f"{row.visit:>5}  {row.date:<10}  {f'{row.planted} / {row.found}':<21}  {volumes:<38}  {new:<7}{change}"
        )
    return lines


def _lesion_table(rows: list[LesionRow]) -> list[str]:
    lines = ["Visit  Planted lesion                   Planted mL  Expected mL  Measured mL  Planted as   Found as"]
    for row in rows:
        measured = "-" if row.measured_ml is None else f"{row.measured_ml:.1f}"
        name = f"{row.label} {row.site}"
        mark = "" if row.planted_status == row.found_status else "  <"
        lines.append(
            f"{row.visit:>5}  {name:<31}  {row.true_ml:>10.1f}  {row.expected_ml:>11.1f}  {measured:>11}  "
            f"{row.planted_status:<11}  {row.found_status}{mark}"
        )
    return lines


def _counts(counts: Counts) -> str:
    return (
        f"{counts.right} right, {counts.superfluous} superfluous, {counts.missing} missing: "
        f"precision {counts.precision:.3f}, recall {counts.recall:.3f}, F1 {counts.f1:.3f}"
    )
