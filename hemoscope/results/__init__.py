"""What leaves: records, and later reports and DICOM objects."""
