"""Why a rollout is where it is: what is remembered for it, what caused it, and one explanation in plain words.

`explain(rollout, now)` in `explain` is the one entry. `memory` remembers between ticks what no page shows later;
`causes`, `position` and `images` each answer one question from what is shown and remembered; `sentences` turns the
answers into text; `document` into the JSON of `replay --format explanations`.
"""
