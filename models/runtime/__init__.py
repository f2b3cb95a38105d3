"""Running a verified model pack: DICOM bytes in, a prediction in plain Python out."""
