"""Print what comes of every file of the zoo as a Markdown table.

    python tests/zoo/table.py [WORD ...]

With words, only files whose name has one of them.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from zoo.judge import CASES, Verdict, judge
from zoo.model import tiny


def main(words: list[str]) -> int:
    """Judge the files; returns how many are not as they should be."""
    wrong = 0
    print("| file | role | what came of it | |\n|---|---|---|---|")
    for case in CASES:
        if words and not any(word in case.name for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                verdict = judge(case, tiny(), Path(folder))
            except Exception as error:  # noqa: BLE001
                trace = traceback.extract_tb(error.__traceback__)[-1]
                verdict = Verdict(
                    case.name, "crash", f"{type(error).__name__}: {error} ({trace.filename}:{trace.lineno})"
                )
        wrong += bool(verdict.wrong)
        print(f"| {case.name} | {case.role} | {verdict.outcome} | {verdict.wrong or 'right'} |", flush=True)
    print(f"\n{len(CASES)} files, {wrong} not as they should be")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
