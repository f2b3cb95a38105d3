"""From a patient's record to the inputs of models: watch, gather, settle (decision 10)."""
