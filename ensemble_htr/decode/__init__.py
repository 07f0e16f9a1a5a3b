"""From frame posteriors (NumPy) to readings: greedy, beam with LM, forced scores and alignments."""

from ensemble_htr.decode.beam import BeamDecoder, BeamOptions
from ensemble_htr.decode.forced import ctc_align, ctc_score
from ensemble_htr.decode.greedy import greedy
from ensemble_htr.decode.joint import JointDecoder

__all__ = ["BeamDecoder", "BeamOptions", "JointDecoder", "ctc_align", "ctc_score", "greedy"]
