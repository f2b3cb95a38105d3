"""What listens: the DICOM port and the HTTP port."""
