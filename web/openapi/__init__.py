"""The OpenAPI 3.1 document of the API: what is sent, what comes back.

`document.document` puts it together: `slices` describes the reading of single slices, `studies` whole studies and their
jobs, `study_schemas` and `result_schemas` what these answer with; all are written with `parts`. Tests hold the answers
against it.
"""
