"""Training: one loop, a recipe for each recognizer; and the fit of the judge."""
