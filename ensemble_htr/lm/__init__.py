"""Language models: estimate, mix, prune, write and read n-grams of characters or words.

`load` turns a file into a `LanguageModel`; everything else is in the modules: `kneser_ney`
(estimation), `interpolate` (mix, prune), `arpa` (files and the plain Python model),
`kenlm_backend` (the fast model), `build` (the verb behind ``ensemble-htr lm build``).
"""

from __future__ import annotations

from ensemble_htr.lm.loading import load, text_logprob

__all__ = ["load", "text_logprob"]
