"""The refusals, in words: what a graph does not identify, along which path, and the ways out.

python examples/why_not_identified.py
"""

from __future__ import annotations

import causalrec as cr

QUESTIONS = (
    ("exposure_click", "effect"),
    ("exposure_click_latent", "effect"),
    ("encouragement", "effect"),
    ("attention_front_door", "effect"),
    ("rating_selection", "mean"),
    ("rating_selection_on_rating", "mean"),
)


def main() -> None:
    """Ask every graph its question, and print the answer or the refusal."""
    for name, query in QUESTIONS:
        graph = cr.load_graph(name)
        print(f"{name}: {graph.label}")
        try:
            estimand = graph.identify(query=query)
            print(f"  identified by {estimand.strategy}: {estimand.words}\n")
        except cr.errors.IdentificationError as refusal:
            print(f"  refused; the open path is {refusal.open_path}")
            print(f"  {refusal}\n")


if __name__ == "__main__":
    main()
