"""From frame posteriors (NumPy) to readings: greedy, beam with LM, forced scores and alignments."""

from ensemble_htr.decode.beam import BeamDecoder, BeamOptions
from ensemble_htr.decode.forced import ctc_align, ctc_score
from ensemble_htr.decode.greedy import greedy

__all__ = ["BeamDecoder", "BeamOptions", "ctc_align", "ctc_score", "greedy"]
