"""The report of studies: one page that needs nothing else, or Markdown, JSON, CSV; without torch.

`subject` works out what is said, the sections draw it, `page`, `markdown`, `exchange` and
`csv_rows` write it. `hpo.report.make` is what the command calls.
"""
