"""The report: one HTML file that shows a journey. The only home of jinja2."""
